// Speaking: one call, and what came of it said on the screen.

import { ElNotification } from 'element-plus'
import { reactive } from 'vue'
import { api, ApiError, type WordAction } from './api'
import { t } from './i18n'
import type { Decision } from './types'

/** Decisions on which a word is under way. */
export const speaking = reactive(new Set<string>())

/** Says it; true when it is committed. */
export async function speak(decision: Decision, action: WordAction, reason: string, plate?: string): Promise<boolean> {
  if (speaking.has(decision.id)) return false
  speaking.add(decision.id)
  try {
    await api.speak(decision, action, reason, plate)
    note('success', t(`done_${action}`, { plate: plate ?? decision.plate ?? '' }))
    return true
  } catch (e) {
    const error = e instanceof ApiError ? e : new ApiError(0, 'error', String(e), null)
    if (error.status === 409) note('warning', t('conflict'), error.message)
    else if (error.status === 403) note('warning', t('forbidden'), error.message)
    else if (error.status === 504) note('warning', t('unknownYet'))
    else if (error.status === 0) note('error', t('unreachable'))
    else note('error', t('failed', { why: error.message }))
    return false
  } finally {
    speaking.delete(decision.id)
  }
}

function note(type: 'success' | 'warning' | 'error', title: string, message = ''): void {
  ElNotification({ type, title, message, duration: type === 'success' ? 2500 : 6000, position: 'bottom-right' })
}
