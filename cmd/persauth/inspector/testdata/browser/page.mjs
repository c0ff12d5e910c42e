// Drives the inspector page in a real browser, as a person would, and prints
// what came of it as one JSON object.
//
//   node page.mjs CHROMIUM PLAN
//
// PLAN is a JSON file: the address of the page, the steps, and where pictures go.
import { readFile, mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const [executablePath, planFile] = process.argv.slice(2)
const plan = JSON.parse(await readFile(planFile, 'utf8'))
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

const profile = await mkdtemp(join(tmpdir(), 'persauth-browser-'))
const browser = await chromium.launchPersistentContext(profile, {
  executablePath, headless: true, viewport: { width: 1280, height: 900 },
  permissions: ['clipboard-read', 'clipboard-write'],
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync'],
})
const out = { requests: [], violations: [], dialogs: 0, answers: {}, axe: {}, errors: [] }
browser.on('request', (r) => out.requests.push({ method: r.method(), url: r.url(), body: r.postData() ?? '' }))
await browser.exposeFunction('reportViolation', (what) => out.violations.push(what))
await browser.addInitScript(() => {
  addEventListener('securitypolicyviolation', (e) => globalThis.reportViolation(`${e.violatedDirective} ${e.blockedURI}`))
})

async function open(url) {
  const page = await browser.newPage()
  page.on('dialog', (d) => { out.dialogs++; d.dismiss() })
  page.on('pageerror', (e) => out.errors.push(String(e)))
  await page.goto(url)
  await ready(page)
  return page
}

const ready = (page) => page.waitForFunction(() => !document.getElementById('explain').disabled)

const fields = ['token', 'keys', 'issuer', 'audience', 'tenants', 'leeway', 'now', 'proof', 'method', 'url']

// look fills the form, asks, and returns what the page shows.
async function look(page, step) {
  for (const d of await page.locator('details').all()) await d.evaluate((e) => { e.open = true })
  for (const name of fields) await page.locator(`#${name}`).fill(step[name] ?? '')
  const start = performance.now()
  await page.locator('#verdict').evaluate((e) => { e.textContent = 'waiting' })
  await page.locator('#explain').click()
  await page.waitForFunction(() => document.getElementById('verdict').textContent !== 'waiting')
  const took = performance.now() - start
  return { ...await shown(page), took }
}

const shown = (page) => page.evaluate(() => {
  const cells = (id) => [...document.querySelectorAll(`#${id} tr`)].map((row) => [...row.children].map((c) => c.textContent))
  return {
    verdict: document.getElementById('verdict').className,
    title: document.getElementById('verdict').textContent,
    reasons: document.getElementById('reasons').innerText,
    checks: cells('checks'), claims: cells('claims'), header: cells('header'), keys: cells('keyset'),
    report: document.getElementById('report').value,
    // Markup that a token brought with it would be here.
    foreign: document.querySelectorAll('main script, main img, main iframe, main a, main svg').length,
    pwned: globalThis.pwned === true,
  }
})

async function accessibility(page, name) {
  await page.evaluate(axe)
  const result = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }))
  out.axe[name] = result.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(' ')}`)
}

async function storage(page) {
  return page.evaluate(async () => ({
    local: localStorage.length, session: sessionStorage.length, cookies: document.cookie,
    databases: (await indexedDB.databases()).length, caches: globalThis.caches ? (await caches.keys()).length : 0,
    url: location.href, state: history.state,
  }))
}

try {
  const began = performance.now()
  const page = await open(plan.page)
  out.answers.first = await look(page, plan.steps[0])
  out.firstAnswer = performance.now() - began

  for (const step of plan.steps) out.answers[step.name] = await look(page, step)
  // The same again, in another order: nothing is left of one in the next.
  for (const step of plan.steps.toReversed()) {
    const again = await look(page, step)
    if (again.title !== out.answers[step.name].title) out.errors.push(`${step.name}: ${again.title} the second time`)
  }
  out.storage = await storage(page)

  // For each light and width: empty, and with an answer.
  const pictured = plan.steps.find((s) => s.name === plan.pictured)
  for (const colorScheme of ['light', 'dark']) {
    for (const [name, viewport] of Object.entries({ desk: { width: 1280, height: 1000 }, phone: { width: 360, height: 740 } })) {
      const fresh = await open(plan.page)
      await fresh.emulateMedia({ colorScheme })
      await fresh.setViewportSize(viewport)
      await accessibility(fresh, `${colorScheme} ${name} empty`)
      await look(fresh, pictured)
      await accessibility(fresh, `${colorScheme} ${name} answer`)
      const wide = await fresh.evaluate(() => document.documentElement.scrollWidth - innerWidth)
      if (wide > 0) out.errors.push(`${colorScheme} ${name}: ${wide} pixels too wide`)
      if (plan.pictures && name === 'desk') {
        await fresh.evaluate(() => { for (const d of document.querySelectorAll('details')) d.open = false; scrollTo(0, 0) })
        await fresh.screenshot({ path: `${plan.pictures}/inspector-${colorScheme}.png` })
      }
      await fresh.close()
    }
  }

  // By keyboard alone.
  const keyboard = await open(plan.page)
  const focused = () => keyboard.evaluate(() => document.activeElement.id)
  const tabTo = async (id) => {
    for (let i = 0; i < 40 && await focused() !== id; i++) await keyboard.keyboard.press('Tab')
    if (await focused() !== id) out.errors.push(`the keyboard does not reach ${id}`)
  }
  await tabTo('token')
  await keyboard.keyboard.insertText(plan.steps[0].token)
  await tabTo('keys')
  await keyboard.keyboard.insertText(plan.steps[0].keys)
  await tabTo('explain')
  await keyboard.keyboard.press('Control+Enter')
  await keyboard.waitForFunction(() => document.getElementById('verdict').className !== '')
  out.answers.keyboard = await shown(keyboard)
  await tabTo('copy')
  await keyboard.keyboard.press('Enter')
  await keyboard.waitForFunction(() => document.getElementById('copied').textContent !== '')
  out.copied = await keyboard.evaluate(() => navigator.clipboard.readText())

  // Keys from a file, dropped, and of the site itself.
  const keys = plan.steps[0].keys
  const set = async () => keyboard.locator('#keys').fill('')
  const arrived = () => keyboard.waitForFunction(() => document.getElementById('keys').value !== '')
  out.keys = {}
  await set()
  await keyboard.locator('#file').setInputFiles({ name: 'jwks.json', mimeType: 'application/json', buffer: Buffer.from(keys) })
  await arrived()
  out.keys.file = await keyboard.locator('#keys').inputValue() === keys
  await set()
  await keyboard.evaluate((text) => {
    const data = new DataTransfer()
    data.items.add(new File([text], 'jwks.json', { type: 'application/json' }))
    document.getElementById('drop').dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }))
  }, keys)
  await arrived()
  out.keys.dropped = await keyboard.locator('#keys').inputValue() === keys
  await set()
  await keyboard.locator('#fetch-keys').click()
  await arrived()
  out.keys.site = await keyboard.locator('#keys').inputValue() === keys

  // Away and back: the token is not there any more, and all works.
  await keyboard.goto('about:blank')
  await keyboard.goBack()
  await ready(keyboard)
  out.left = await keyboard.evaluate(() => [...document.querySelectorAll('textarea, input')].map((f) => f.value).join(''))
  await keyboard.goForward()
  await keyboard.goBack()
  await ready(keyboard)
  out.answers.back = await look(keyboard, plan.steps[0])

  // Without a network.
  await browser.setOffline(true)
  out.answers.offline = await look(keyboard, plan.steps[0])
  await browser.setOffline(false)

  // The same page as files of another server.
  const hosted = await open(plan.hosted)
  out.answers.hosted = await look(hosted, plan.steps[0])
  // The policy in the page itself forbids what the page never does.
  out.blocked = await hosted.evaluate(async (elsewhere) => {
    try {
      await fetch(elsewhere)
      return false
    } catch {
      return true
    }
  }, plan.page)
  for (let i = 0; i < 100 && out.violations.length === 0; i++) await hosted.waitForTimeout(20)
} finally {
  await browser.close()
  await rm(profile, { recursive: true, force: true })
}
console.log(JSON.stringify(out))
