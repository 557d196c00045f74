// What the browser tests share: a browser, signed-in pages, checks that print a line each.
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { chromium } from 'playwright-core'

const [address, data, shots = process.env.SHOTS] = process.argv.slice(2)
if (!address || !data) {
  console.error(`usage: node ${process.argv[1]} URL DATA_DIR [SCREENSHOT_DIR]`)
  process.exit(2)
}
export const url = address
const credentials = fs.readFileSync(path.join(data, 'demo-credentials'), 'utf8')
export const secretOf = (name) => credentials.split('\n').find((l) => l.startsWith(`${name} `)).split(' ')[1]
const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
export const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args })

let failed = 0
/** What the consoles said that they should not have. */
export const noise = []
let quiet = false
/** While something is refused on purpose, or the network is cut, the browser's complaints are no errors of the page. */
export function hush(on) {
  quiet = on
}
export function check(what, right, more = '') {
  console.log(`${right ? 'ok  ' : 'FAIL'} ${what}${more ? ` (${more})` : ''}`)
  if (!right) failed += 1
}

/** A wire to the gate that can be cut and mended. */
export async function wire() {
  const to = new URL(url)
  const ends = new Set()
  const server = net.createServer((near) => {
    const far = net.connect(Number(to.port), to.hostname)
    for (const end of [near, far]) {
      ends.add(end)
      end.on('error', () => {})
      end.on('close', () => {
        ends.delete(end)
        near.destroy()
        far.destroy()
      })
    }
    near.pipe(far).pipe(near)
  })
  const listen = (port) => new Promise((done) => server.listen(port, '127.0.0.1', done))
  await listen(0)
  const { port } = server.address()
  return {
    url: `http://127.0.0.1:${port}`,
    cut() {
      hush(true)
      server.close()
      for (const end of ends) end.destroy()
    },
    mend: () => listen(port),
    end: () => server.close(),
  }
}

/** A page signed in as `who`. */
export async function open(who, lang, theme, hash = '', at = url) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, acceptDownloads: true })
  const page = await context.newPage()
  page.on('console', (m) => !quiet && ['error', 'warning'].includes(m.type()) && noise.push(`${who}: ${m.text()} ${m.location().url ?? ''}`))
  page.on('pageerror', (e) => noise.push(`${who}: ${e}`))
  await page.addInitScript(([l, t]) => {
    localStorage.setItem('portgate.lang', l)
    localStorage.setItem('portgate.theme', t)
  }, [lang, theme])
  await page.goto(at + hash)
  await page.fill('input[name=username]', who)
  await page.fill('input[name=password]', secretOf(who))
  await page.keyboard.press('Enter')
  await page.waitForSelector('.state.live', { timeout: 20_000 })
  return page
}

export async function shot(page, name) {
  if (shots) await page.screenshot({ path: path.join(shots, `${name}.png`) })
}

/** Runs the checks and ends the process with what came of them. */
export async function run(checks) {
  try {
    await checks()
    check('the consoles show no errors', noise.length === 0, noise.slice(0, 3).join(' | '))
  } catch (e) {
    check(`the run ended early: ${e.message.split('\n').slice(0, 3).join(' ')}`, false, noise.slice(0, 3).join(' | '))
  } finally {
    await browser.close()
  }
  // Wires may still be open.
  process.exit(failed ? 1 : 0)
}
