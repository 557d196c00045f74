// Whether a record of the registry counts now, at a glance; and which of its fields are worth showing.
// The gate's rules decide at the lane; this is for eyes.

import { listed, t, term } from './i18n'
import { dateOf, nowMs, timeOfDay } from './time'
import type { Row } from './types'

export type Tone = 'open' | 'warn' | 'bad' | 'idle'

const GOOD: Record<string, string[]> = {
  enterprise: ['APPROVED'],
  vehicle: ['APPROVED'],
  card: ['ISSUED', 'IN_USE'],
  task: ['PUBLISHED', 'APPOINTED', 'CALLED', 'ENTERED'],
  reception: ['FILED'],
  exit_permit: ['ISSUED'],
  leave_consent: ['GRANTED'],
}
const STATE_FIELDS = ['status', 'state', 'registration']
const END_FIELDS = ['valid_to', 'registration_valid_to', 'documents_valid_to', 'to', 'window_to']
const START_FIELDS = ['valid_from', 'from', 'window_from']
const SOON_MS = 14 * 86_400_000

/** The first instant at which a date (inclusive) or an instant (exclusive) is over. */
function end(value: unknown): number {
  if (typeof value !== 'string') return Infinity
  return /^\d{4}-\d\d-\d\d$/.test(value) ? Date.parse(`${value}T00:00:00+08:00`) + 86_400_000 : Date.parse(value)
}
function begin(value: unknown): number {
  if (typeof value !== 'string') return -Infinity
  return /^\d{4}-\d\d-\d\d$/.test(value) ? Date.parse(`${value}T00:00:00+08:00`) : Date.parse(value)
}

export function validity(kind: string, value: Row | null): { tone: Tone; text: string } {
  if (value === null) return { tone: 'idle', text: t('notRegistered') }
  const now = nowMs.value
  if (kind === 'ban') {
    const holds = begin(value.from) <= now && now < end(value.to)
    return holds ? { tone: 'bad', text: t('active') } : { tone: 'idle', text: t('over') }
  }
  if (kind === 'peak_mode') {
    const on = value.active === true && begin(value.from) <= now && now < end(value.to)
    return on ? { tone: 'warn', text: t('active') } : { tone: 'idle', text: t('peakOff') }
  }
  const state = STATE_FIELDS.map((f) => value[f]).find((v) => typeof v === 'string')
  const good = GOOD[kind]
  if (good && typeof state === 'string' && !good.includes(state)) return { tone: 'bad', text: term('value', state) }
  const ends = Math.min(...END_FIELDS.map((f) => end(value[f])))
  if (ends <= now) return { tone: 'bad', text: t('over') }
  if (Math.max(...START_FIELDS.map((f) => begin(value[f]))) > now) return { tone: 'warn', text: t('notYetValid') }
  if (ends - now < SOON_MS) return { tone: 'warn', text: t('ending') }
  return { tone: 'open', text: t('valid') }
}

export function shownValue(value: unknown): string {
  if (value === null || value === undefined) return ''
  if (typeof value === 'boolean') return value ? t('yes') : t('no')
  if (Array.isArray(value)) return listed(value.map(shownValue))
  if (typeof value === 'object') return JSON.stringify(value)
  const text = String(value)
  return /^\d{4}-\d\d-\d\dT/.test(text) ? `${dateOf(text)} ${timeOfDay(text)}` : text
}

/** Fields with something in them; the id stands in the head already. */
export function shownFields(kind: string, value: Row): [string, string][] {
  const skip = kind === 'vehicle' || kind === 'customs_vehicle' ? ['plate'] : ['id', 'code']
  return Object.entries(value)
    .filter(([name]) => !skip.includes(name))
    .map(([name, v]) => [name, typeof v === 'string' && /^[A-Za-z_-]+$/.test(v) ? (name === 'category' ? term('category', v) : term('value', v)) : shownValue(v)] as [string, string])
    .filter(([, v]) => v !== '')
}
