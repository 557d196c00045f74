// Speaking: one call, and what came of it said on the screen.

import { ElNotification } from 'element-plus'
import { reactive } from 'vue'
import { api, ApiError, type Want, type WordAction } from './api'
import { t } from './i18n'
import { asks } from './live'
import type { Decision } from './types'

/** Decisions on which a word is under way. */
export const speaking = reactive(new Set<string>())

/** Says it; true when it is committed. */
export async function speak(decision: Decision, action: WordAction, reason: string, plate?: string): Promise<boolean> {
  if (speaking.has(decision.id)) return false
  speaking.add(decision.id)
  try {
    return await attempt(() => api.speak(decision, action, reason, plate), t(`done_${action}`, { plate: plate ?? decision.plate ?? '' }))
  } finally {
    speaking.delete(decision.id)
  }
}

/** Asks for help at a decision. */
export function ask(decision: Decision, want: Want, why: string): Promise<boolean> {
  return attempt(() => api.ask(decision.id, want, why), t('done_ask'))
}

/** Settles a request; a settled one is seen by all through the events. */
export function settle(id: string, outcome: string): Promise<boolean> {
  return attempt(() => api.settle(id, outcome), t('done_settle'))
}

/** Requests at a decision that nobody has settled. */
export function openAsks(decisionId: string) {
  return [...asks.values()].filter((a) => a.decision_id === decisionId && a.settled_at === null)
}

/** Does it and says what came of it; `done` null: success needs no word. */
export async function attempt(f: () => Promise<unknown>, done: string | null): Promise<boolean> {
  try {
    await f()
    if (done !== null) note('success', done)
    return true
  } catch (e) {
    const error = e instanceof ApiError ? e : new ApiError(0, 'error', String(e), null)
    if (error.status === 409) note('warning', t('conflict'), error.message)
    else if (error.status === 403) note('warning', t('forbidden'), error.message)
    else if (error.status === 504) note('warning', t('unknownYet'))
    else if (error.status === 0) note('error', t('unreachable'))
    else note('error', t('failed', { why: error.message }))
    return false
  }
}

export function note(type: 'success' | 'warning' | 'error', title: string, message = ''): void {
  ElNotification({ type, title, message, duration: type === 'success' ? 2500 : 6000, position: 'bottom-right' })
}
