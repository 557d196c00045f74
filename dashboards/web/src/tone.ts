// How a decision looks: the one place where verdict and state become tone, sign and word.

import { t, term } from './i18n'
import type { Decision, Severity } from './types'

export type Tone = 'open' | 'ready' | 'warn' | 'bad' | 'idle'
export type Sign = 'check' | 'ring' | 'alert' | 'stop' | 'dot'

const GRAVE: Severity[] = ['high', 'critical']

/** Green hold and red hold differ in colour, sign and words, never in colour alone. */
export function verdictLook(d: Decision): { tone: Tone; sign: Sign; label: string } {
  switch (d.verdict) {
    case 'OPEN':
      return { tone: 'open', sign: 'check', label: t('open') }
    case 'REFUSE':
      return { tone: 'bad', sign: 'stop', label: t('refused') }
    case 'HOLD':
      if (d.in_order) return { tone: 'ready', sign: 'ring', label: t('greenHold') }
      return { tone: d.reasons.some((r) => GRAVE.includes(r.severity)) ? 'bad' : 'warn', sign: 'alert', label: t('redHold') }
  }
}

/** As `verdictLook` says it, where there is little room. */
export function shortLabel(d: Decision): string {
  return d.verdict === 'HOLD' ? t(d.in_order ? 'greenShort' : 'redShort') : verdictLook(d).label
}

export function severityTone(severity: Severity): Tone {
  switch (severity) {
    case 'info':
      return 'ready'
    case 'low':
    case 'medium':
      return 'warn'
    case 'high':
    case 'critical':
      return 'bad'
  }
}

export function stateLabel(d: Decision): string {
  return t(d.state)
}

export function isWaiting(d: Decision): boolean {
  return d.state === 'held' || d.state === 'refused'
}

/** Who is behind a version: a person by name, the machine, or a lane that was cut off and opened by itself. */
export function whoOf(by: Decision['by'], role = false): string {
  if (!by) return t('machine')
  if (by.role === 'device') return t('cutOffLane')
  if (by.name === by.role) return term('role', by.role)
  return role ? `${by.name} · ${term('role', by.role)}` : by.name
}
