// The page in a real browser, against a running gate (or the example `fake_gate`):
//   node tests/room.mjs URL DATA_DIR [SCREENSHOT_DIR]
// Prints a line per check; exit code 1 when one fails or the browser's console shows an error.
import fs from 'node:fs'
import path from 'node:path'
import { chromium } from 'playwright-core'

const [url, data, shots] = process.argv.slice(2)
if (!url || !data) {
  console.error('usage: node tests/room.mjs URL DATA_DIR [SCREENSHOT_DIR]')
  process.exit(2)
}
const credentials = fs.readFileSync(path.join(data, 'demo-credentials'), 'utf8')
const secretOf = (name) => credentials.split('\n').find((l) => l.startsWith(`${name} `)).split(' ')[1]
const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium'
const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
const browser = await chromium.launch({ executablePath, headless: true, args })

let failed = 0
const noise = []
function check(what, right, more = '') {
  console.log(`${right ? 'ok  ' : 'FAIL'} ${what}${more ? ` (${more})` : ''}`)
  if (!right) failed += 1
}

async function open(who, lang, theme) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 } })
  const page = await context.newPage()
  page.on('console', (m) => ['error', 'warning'].includes(m.type()) && noise.push(`${who}: ${m.text()}`))
  page.on('pageerror', (e) => noise.push(`${who}: ${e}`))
  await page.addInitScript(([l, t]) => {
    localStorage.setItem('portgate.lang', l)
    localStorage.setItem('portgate.theme', t)
  }, [lang, theme])
  await page.goto(url)
  await page.fill('input[name=username]', who)
  await page.fill('input[name=password]', secretOf(who))
  await page.keyboard.press('Enter')
  await page.waitForSelector('.lane', { timeout: 15_000 })
  await page.waitForSelector('.state.live', { timeout: 15_000 })
  return page
}

async function shot(page, name) {
  if (shots) await page.screenshot({ path: path.join(shots, `${name}.png`) })
}

try {
  const guard = await open('guard', 'zh', 'dark')
  check('four lanes are shown', (await guard.locator('.lane').count()) === 4)
  check('Chinese first', (await guard.textContent('.desk h2')).includes('待处理'))
  await guard.waitForSelector('.lane img', { timeout: 30_000 })
  const drawn = () => guard.evaluate(() => [...document.querySelectorAll('.lane img')].some((i) => i.complete && i.naturalWidth > 0))
  await guard.waitForFunction(() => [...document.querySelectorAll('.lane img')].some((i) => i.complete && i.naturalWidth > 0), null, { timeout: 15_000 })
  check('a lane shows its picture', await drawn())
  await guard.waitForSelector('tbody tr', { timeout: 60_000 })
  await shot(guard, 'room-zh-dark')

  await guard.click('tbody tr')
  await guard.waitForSelector('.case dl', { timeout: 10_000 })
  check('a decision opens with its history', (await guard.locator('.versions li').count()) >= 1)
  await guard.waitForTimeout(600)
  await shot(guard, 'decision-zh-dark')
  await guard.keyboard.press('Escape')
  await guard.waitForTimeout(500)

  const supervisor = await open('supervisor', 'en', 'light')
  check('English at a switch', (await supervisor.textContent('.desk h2')).includes('To be decided'))
  await shot(supervisor, 'room-en-light')

  // A green hold: one key. The other one sees it go.
  let released = false
  for (let attempt = 0; attempt < 20 && !released; attempt += 1) {
    await guard.waitForSelector('.item.tone-ready .btn.go', { timeout: 120_000 })
    const id = await guard.evaluate(() => {
      const item = document.querySelector('.item.tone-ready')
      item?.click()
      return item?.querySelector('.plate')?.getAttribute('aria-label') ?? null
    })
    await guard.waitForTimeout(800)
    if (!(await guard.locator('.item.selected.tone-ready').count())) continue
    const began = Date.now()
    await guard.keyboard.press('r')
    // It may have gone at this very moment; then there is no word, or one of a conflict.
    const note = await guard.waitForSelector(`.el-notification:has-text("${id}")`, { timeout: 6_000 }).catch(() => null)
    if (note === null) {
      await guard.keyboard.press('Escape')
      continue
    }
    released = (await note.textContent()).includes('已放行')
    if (released) {
      await supervisor.waitForFunction((plate) => ![...document.querySelectorAll('.item.tone-ready .plate')].some((p) => p.getAttribute('aria-label') === plate), id, { timeout: 10_000 })
      check('a green hold is released with one key and the other screen sees it', true, `${Date.now() - began} ms`)
    } else {
      await guard.waitForTimeout(3500)
    }
  }
  if (!released) check('a green hold is released with one key', false)

  await guard.click('text=English')
  check('the language switches without loading anew', (await guard.textContent('.desk h2')).includes('To be decided'))
  const analyst = await open('analyst', 'zh', 'light')
  await analyst.waitForTimeout(500)
  check('an analyst sees no pictures and no whole plate', (await analyst.locator('.lane img').count()) === 0 && !(await analyst.locator('.plate').evaluateAll((all) => all.some((p) => !(p.getAttribute('aria-label') ?? '').includes('*')))))
  await guard.click('text=Sign out')
  await guard.waitForSelector('input[name=username]')
  check('signing out leads to the sign-in page', true)
  check('the console shows no errors', noise.length === 0, noise.slice(0, 3).join(' | '))
} catch (e) {
  check(`the run ended early: ${e.message.split('\n')[0]}`, false, noise.slice(0, 3).join(' | '))
} finally {
  await browser.close()
}
process.exit(failed ? 1 : 0)
