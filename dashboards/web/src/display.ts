// The driver's display of one lane: `/display/LANE`. A roadside screen brings its token behind `#`
// (`/display/JCZ-1.L1#token=…`), where no server logs it; a signed-in browser needs none.
// When the gate can't be reached the sign says stop: never an old "go".

import './display.css'

interface Sign {
  code: 'go' | 'wait' | 'back' | 'reading' | 'next'
  name: string | null
  lane: string
  plate: string | null
  zh: string
  en: string
  sub_zh: string
  sub_en: string
}

const EVERY_MS = 700
/** An answer older than this is shown no more. */
const STALE_MS = 4000
const TOKEN = 'portgate.display-token'

const lane = decodeURIComponent(location.pathname.split('/').pop() ?? '')
const given = new URLSearchParams(location.hash.slice(1)).get('token')
if (given) {
  sessionStorage.setItem(TOKEN, given)
  history.replaceState(null, '', location.pathname)
}
const token = sessionStorage.getItem(TOKEN)

function put(id: string, text: string): void {
  const element = document.getElementById(id)
  if (element && element.textContent !== text) element.textContent = text
}

function show(sign: Sign): void {
  document.body.dataset.code = sign.code
  put('plate', sign.plate ?? '')
  put('zh', sign.zh)
  put('sub', sign.sub_zh)
  put('en', `${sign.en} · ${sign.sub_en}`)
  put('foot', sign.name ?? sign.lane)
}

function stopSign(why: string): void {
  show({ code: 'wait', lane, name: lane, plate: null, zh: '请稍候', en: 'Please wait', sub_zh: why, sub_en: '' })
}

let good = Date.now()
async function turn(): Promise<void> {
  try {
    const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {}
    const response = await fetch(`/v1/lanes/${encodeURIComponent(lane)}/display`, { headers, signal: AbortSignal.timeout(3000) })
    if (response.ok) {
      show((await response.json()) as Sign)
      good = Date.now()
    } else if (response.status === 401 || response.status === 403 || response.status === 404) {
      stopSign(response.status === 404 ? '没有此通道' : '显示屏未授权')
      good = Date.now()
    }
  } catch {
    // Told below when it lasts.
  }
  if (Date.now() - good > STALE_MS) stopSign('连接中断，请听从值守人员指挥')
  window.setTimeout(turn, EVERY_MS)
}
void turn()
