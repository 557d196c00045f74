// How smooth the wall stays under load, against `fake_gate` with LANES=64 EVENTS_PER_S=200:
//   node tests/frames.mjs URL DATA_DIR [SECONDS] [SCREENSHOT]
// Prints as JSON: first paint with nothing cached; the intervals between frames (requestAnimationFrame;
// the browser draws 60 a second at the most, so 16.7 is the best there is); the processor time the page's
// main thread takes for a drawn frame, everything since the one before included, which says the same on a
// busy machine as on an idle one; the heap after a collection, at the start and after every quarter, with
// how many events had come by then.
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { chromium } from 'playwright-core'

const [url, data, seconds = '30', shot] = process.argv.slice(2)
const credentials = fs.readFileSync(path.join(data, 'demo-credentials'), 'utf8')
const secret = credentials.split('\n').find((l) => l.startsWith('guard ')).split(' ')[1]
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--enable-precise-memory-info', '--js-flags=--expose-gc'] })
const page = await (await browser.newContext({ viewport: { width: 1920, height: 1080 } })).newPage()
const devtools = await page.context().newCDPSession(page)
await devtools.send('Performance.enable')
await devtools.send('Network.enable')
let events = 0
devtools.on('Network.eventSourceMessageReceived', () => (events += 1))
await page.goto(url)
await page.waitForSelector('input[name=username]')
const paint = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null)
await page.fill('input[name=username]', 'guard')
await page.fill('input[name=password]', secret)
const began = Date.now()
await page.keyboard.press('Enter')
await page.waitForSelector('.lane')
const wall = Date.now() - began
await page.waitForTimeout(3000)
const metrics = async () => Object.fromEntries((await devtools.send('Performance.getMetrics')).metrics.map((m) => [m.name, m.value]))
const heap = () => page.evaluate(() => { globalThis.gc?.(); globalThis.gc?.(); return Math.round(performance.memory.usedJSHeapSize / 1e5) / 10 })
const heaps = [await heap()]
const counted = [0]
events = 0
const before = await metrics()
const frames = []
for (let quarter = 0; quarter < 4; quarter += 1) {
  frames.push(
    ...(await page.evaluate(
      (ms) =>
        new Promise((done) => {
          const times = []
          let last = performance.now()
          const end = last + ms
          const tick = (now) => {
            times.push(now - last)
            last = now
            if (now < end) requestAnimationFrame(tick)
            else done(times.slice(1))
          }
          requestAnimationFrame(tick)
        }),
      Number(seconds) * 250,
    )),
  )
  heaps.push(await heap())
  counted.push(events)
}
const after = await metrics()
// Processor time by frame, from a trace of some seconds.
const tracer = await browser.newBrowserCDPSession()
const trace = []
tracer.on('Tracing.dataCollected', (part) => trace.push(...part.value))
await tracer.send('Tracing.start', { transferMode: 'ReportEvents', traceConfig: { includedCategories: ['toplevel', 'cc', 'disabled-by-default-devtools.timeline', '__metadata'] } })
await page.waitForTimeout(Math.min(8000, Number(seconds) * 1000))
const traced = new Promise((done) => tracer.once('Tracing.tracingComplete', done))
await tracer.send('Tracing.end')
await traced
const main = new Set(trace.filter((e) => e.ph === 'M' && e.name === 'thread_name' && e.args.name === 'CrRendererMain').map((e) => `${e.pid}/${e.tid}`))
const onMain = trace.filter((e) => e.ph === 'X' && main.has(`${e.pid}/${e.tid}`)).sort((a, b) => a.ts - b.ts)
const tasks = onMain.filter((e) => e.name === 'RunTask' && e.tdur)
const drawn = onMain.filter((e) => e.name === 'ProxyMain::BeginMainFrame').map((e) => e.ts + e.dur)
const cpu = []
let next = 0
for (const end of drawn) {
  let sum = 0
  for (; next < tasks.length && tasks[next].ts < end; next += 1) sum += tasks[next].tdur / 1000
  cpu.push(sum)
}
cpu.shift()
cpu.sort((a, b) => a - b)
const lanes = await page.locator('.lane').count()
const nodes = after.Nodes
if (shot) await page.screenshot({ path: shot })
await browser.close()
frames.sort((a, b) => a - b)
const round = (n) => Math.round(n * 10) / 10
const at = (q) => round(frames[Math.min(frames.length - 1, Math.floor(frames.length * q))])
const cpuAt = (q) => round(cpu[Math.min(cpu.length - 1, Math.floor(cpu.length * q))] ?? NaN)
const took = (after.Timestamp - before.Timestamp)
console.log(
  JSON.stringify({
    lanes, first_paint_ms: paint && Math.round(paint), wall_after_sign_in_ms: wall, events_per_s: Math.round(counted.at(-1) / took),
    frames: frames.length, frame_ms_p50: at(0.5), frame_ms_p95: at(0.95), frame_ms_p99: at(0.99), frame_ms_max: at(1), late_share: round((frames.filter((f) => f > 25).length * 100) / frames.length),
    drawn_frames_traced: cpu.length, main_cpu_ms_p50: cpuAt(0.5), main_cpu_ms_p95: cpuAt(0.95), main_cpu_ms_p99: cpuAt(0.99),
    heap_mb: heaps, events_by_then: counted, nodes, load: os.loadavg().map(round),
  }),
)
