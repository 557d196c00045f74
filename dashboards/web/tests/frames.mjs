// How smooth the wall stays under load, against `fake_gate` with LANES=64 EVENTS_PER_S=200:
//   node tests/frames.mjs URL DATA_DIR [SECONDS] [SCREENSHOT]
// Prints frame times (requestAnimationFrame) and the page's memory as JSON.
import fs from 'node:fs'
import path from 'node:path'
import { chromium } from 'playwright-core'

const [url, data, seconds = '30', shot] = process.argv.slice(2)
const credentials = fs.readFileSync(path.join(data, 'demo-credentials'), 'utf8')
const secret = credentials.split('\n').find((l) => l.startsWith('guard ')).split(' ')[1]
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--enable-precise-memory-info', '--js-flags=--expose-gc'] })
const page = await (await browser.newContext({ viewport: { width: 1920, height: 1080 } })).newPage()
let began = Date.now()
await page.goto(url)
await page.waitForSelector('input[name=username]')
const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null)
await page.fill('input[name=username]', 'guard')
await page.fill('input[name=password]', secret)
began = Date.now()
await page.keyboard.press('Enter')
await page.waitForSelector('.lane')
const wall = Date.now() - began
await page.waitForTimeout(3000)
const memory = () => page.evaluate(() => { globalThis.gc?.(); return Math.round(performance.memory.usedJSHeapSize / 1e5) / 10 })
const before = await memory()
const frames = await page.evaluate(
  (ms) =>
    new Promise((done) => {
      const times = []
      let last = performance.now()
      const end = last + ms
      const tick = (now) => {
        times.push(now - last)
        last = now
        if (now < end) requestAnimationFrame(tick)
        else done(times)
      }
      requestAnimationFrame(tick)
    }),
  Number(seconds) * 1000,
)
const lanes = await page.locator('.lane').count()
const after = await memory()
if (shot) await page.screenshot({ path: shot })
await browser.close()
frames.sort((a, b) => a - b)
const at = (q) => Math.round(frames[Math.min(frames.length - 1, Math.floor(frames.length * q))] * 10) / 10
console.log(JSON.stringify({ lanes, first_paint_ms: paint && Math.round(paint), wall_after_sign_in_ms: wall, frames: frames.length, frame_ms_p50: at(0.5), frame_ms_p95: at(0.95), frame_ms_p99: at(0.99), frame_ms_max: at(1), heap_mb_before: before, heap_mb_after: after }))
