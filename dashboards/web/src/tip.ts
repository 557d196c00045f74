// One tip for all reasons: hundreds of them stand on a wall, and only one is looked at.

import { shallowRef } from 'vue'
import type { Reason } from './types'

export interface Tip {
  el: HTMLElement
  reason: Reason
  /** The line is shortened, so the tip says it in full. */
  full: boolean
}

export const tip = shallowRef<Tip | null>(null)
const AFTER_MS = 200
let timer: number | undefined

export function showTip(next: Tip): void {
  window.clearTimeout(timer)
  timer = window.setTimeout(() => (tip.value = next), AFTER_MS)
}

export function hideTip(el: HTMLElement): void {
  window.clearTimeout(timer)
  if (tip.value?.el === el) tip.value = null
}
