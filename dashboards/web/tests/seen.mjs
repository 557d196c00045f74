// How soon a release by one guard is seen by another, against a running gate with its demonstration:
//   node tests/seen.mjs URL DATA_DIR [RELEASES]
// Both pages stand in one browser on one clock: from the key on the one to the vehicle's leaving the desk of the other.
import { check, browser, open } from './kit.mjs'

const wanted = Number(process.argv[4] ?? 10)
const one = await open('guard', 'zh', 'dark')
const other = await open('supervisor', 'en', 'light')
const took = []
for (let attempt = 0; attempt < wanted * 6 && took.length < wanted; attempt += 1) {
  const plate = await one
    .waitForFunction(() => {
      const item = document.querySelector('.item.tone-ready:has(.btn.go)')
      item?.click()
      return item?.querySelector('.plate')?.getAttribute('aria-label') ?? null
    }, null, { timeout: 120_000 })
    .then((found) => found.jsonValue())
  // The keys rest for a moment after the selection has moved by itself.
  await one.waitForTimeout(900)
  const gone = other.evaluate(
    (text) =>
      new Promise((done) => {
        const there = () => [...document.querySelectorAll('.item.tone-ready .plate')].some((p) => p.getAttribute('aria-label') === text)
        if (!there()) return done(null)
        const watch = new MutationObserver(() => {
          if (there()) return
          watch.disconnect()
          done(Date.now())
        })
        watch.observe(document.querySelector('.desk'), { subtree: true, childList: true, attributes: true })
        setTimeout(() => done(null), 8000)
      }),
    plate,
  )
  const pressed = await one.evaluate((text) => {
    const item = document.querySelector('.item.selected.tone-ready')
    if (item?.querySelector('.plate')?.getAttribute('aria-label') !== text) return null
    const at = Date.now()
    document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'r', bubbles: true }))
    return at
  }, plate)
  const seen = await gone
  const said = await one.waitForSelector(`.el-notification:has-text("已放行 ${plate}")`, { timeout: 3000 }).catch(() => null)
  if (pressed !== null && seen !== null && said !== null) took.push(seen - pressed)
  console.error(`${plate}: ${pressed === null ? 'not selected any more' : seen === null ? 'not seen to go' : `${seen - pressed} ms`}${said ? '' : ' (not said to be released)'}`)
}
await browser.close()
took.sort((a, b) => a - b)
check(`${took.length} releases were seen by another within half a second`, took.length === wanted && took.at(-1) < 500, JSON.stringify({ min: took[0], p50: took[Math.floor(took.length / 2)], max: took.at(-1), all: took }))
process.exit(took.length === wanted && took.at(-1) < 500 ? 0 : 1)
