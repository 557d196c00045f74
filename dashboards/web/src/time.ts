// The gate's clock as this page knows it, and spans in words. One tick a second for everything.

import { ref } from 'vue'

/** What the gate's clock is ahead of this machine's, milliseconds. */
let ahead = 0

export const nowMs = ref(Date.now())

export function gateTimeIs(now: string): void {
  const at = Date.parse(now)
  if (Number.isFinite(at)) ahead = at - Date.now()
  nowMs.value = Date.now() + ahead
}

setInterval(() => {
  nowMs.value = Date.now() + ahead
}, 1000)

/** `m:ss`, or `h:mm:ss`. */
export function span(fromIso: string | null, to: number): string {
  if (!fromIso) return ''
  const s = Math.max(0, Math.floor((to - Date.parse(fromIso)) / 1000))
  const pad = (n: number) => String(n).padStart(2, '0')
  const h = Math.floor(s / 3600)
  return h > 0 ? `${h}:${pad(Math.floor(s / 60) % 60)}:${pad(s % 60)}` : `${Math.floor(s / 60)}:${pad(s % 60)}`
}

const clock = new Intl.DateTimeFormat('zh-CN', { timeZone: 'Asia/Shanghai', hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false })
const day = new Intl.DateTimeFormat('zh-CN', { timeZone: 'Asia/Shanghai', year: 'numeric', month: '2-digit', day: '2-digit' })

/** Time of day at the port. */
export function timeOfDay(at: string | number): string {
  return clock.format(typeof at === 'number' ? at : Date.parse(at))
}

/** Date at the port. */
export function dateOf(at: string | number): string {
  return day.format(typeof at === 'number' ? at : Date.parse(at)).replaceAll('/', '-')
}
