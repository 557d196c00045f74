// The room in a real browser, against a running gate (or the example `fake_gate`):
//   node tests/room.mjs URL DATA_DIR [SCREENSHOT_DIR]
// Prints a line per check; exit code 1 when one fails or the browser's console shows an error.
import { check, hush, open, run, shot, url, wire } from './kit.mjs'

await run(async () => {
  const line = await wire()
  const guard = await open('guard', 'zh', 'dark', '', line.url)
  await guard.waitForSelector('.lane', { timeout: 15_000 })
  check('four lanes are shown', (await guard.locator('.lane').count()) === 4)
  check('Chinese first', (await guard.textContent('.desk h2')).includes('待处理'))
  await guard.waitForFunction(() => [...document.querySelectorAll('.lane img')].some((i) => i.complete && i.naturalWidth > 0), null, { timeout: 45_000 })
  check('a lane shows its picture', true)
  await guard.waitForSelector('tbody tr', { timeout: 60_000 })
  await shot(guard, 'room-zh-dark')

  await guard.click('tbody tr')
  await guard.waitForSelector('.case dl', { timeout: 10_000 })
  check('a decision opens with its history', (await guard.locator('.versions li').count()) >= 1)
  await guard.waitForTimeout(900)
  await shot(guard, 'decision-zh-dark')
  await guard.keyboard.press('Escape')
  await guard.waitForTimeout(500)

  const supervisor = await open('supervisor', 'en', 'light')
  check('English at a switch', (await supervisor.textContent('.desk h2')).includes('To be decided'))
  await shot(supervisor, 'room-en-light')

  // A green hold: one key. The other one sees it go.
  let released = false
  for (let attempt = 0; attempt < 20 && !released; attempt += 1) {
    await guard.waitForSelector('.item.tone-ready .btn.go', { timeout: 300_000 })
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

  // Help is asked for with two keys and seen on the other screen at once.
  let asked = false
  for (let attempt = 0; attempt < 20 && !asked; attempt += 1) {
    await guard.waitForSelector('.item', { timeout: 300_000 })
    await guard.evaluate(() => document.querySelector('.item')?.click())
    await guard.waitForTimeout(800)
    await guard.keyboard.press('s')
    await guard.keyboard.press('1')
    const seen = await supervisor.waitForSelector('.item .asks', { timeout: 4_000 }).catch(() => null)
    asked = seen !== null
    if (asked) {
      check('calling the supervisor takes two keys and shows on the supervisor’s desk, first in line', (await supervisor.locator('.item').first().locator('.asks').count()) === 1)
      await shot(supervisor, 'desk-asked-en-light')
    } else await guard.keyboard.press('Escape')
  }
  if (!asked) check('calling the supervisor', false)

  // The driver's display of a lane.
  const display = await guard.context().newPage()
  await display.goto(`${url}/display/JCZ-1.L1`)
  await display.waitForFunction(() => document.getElementById('zh')?.textContent !== '…', null, { timeout: 10_000 })
  const sign = await display.evaluate(() => ({ text: document.body.innerText, size: parseFloat(getComputedStyle(document.getElementById('zh')).fontSize) }))
  check('the driver’s display says in large Chinese what to do', /请|禁止/.test(sign.text) && sign.size > 100, `${Math.round(sign.size)} px`)
  await shot(display, 'display')
  await display.close()

  // Cut off: it says so; back again: it tells what happened meanwhile.
  line.cut()
  await guard.waitForSelector('.strip.lost', { timeout: 60_000 })
  check('a page that is cut off says so', true)
  await guard.waitForTimeout(15_000)
  await line.mend()
  await guard.waitForSelector('.strip.back', { timeout: 30_000 })
  hush(false)
  await guard.locator('.strip.back .btn').first().click()
  await guard.waitForTimeout(800)
  check('back again it tells what happened meanwhile', (await guard.locator('.el-drawer .list li').count()) >= 1 || (await guard.locator('.strip.back').count()) === 0)
  await shot(guard, 'away-zh-dark')
  await guard.keyboard.press('Escape')
  await guard.waitForTimeout(600)

  await guard.click('header .btn:has-text("English")')
  check('the language switches without loading anew', (await guard.textContent('.desk h2')).includes('To be decided'))
  const analyst = await open('analyst', 'zh', 'light', '/#/room')
  await analyst.waitForSelector('.lane', { timeout: 15_000 })
  await analyst.waitForTimeout(500)
  check('an analyst sees no pictures and no whole plate', (await analyst.locator('.lane img').count()) === 0 && !(await analyst.locator('.plate').evaluateAll((all) => all.some((p) => !(p.getAttribute('aria-label') ?? '').includes('*')))))
  await guard.click('text=Sign out')
  await guard.waitForSelector('input[name=username]')
  check('signing out leads to the sign-in page', true)
})
