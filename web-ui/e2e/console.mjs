// The console in a real browser on a real appliance: claim it, create a service, see traffic appear. On the way every
// screen is looked at in both languages and themes: no accessibility violation (axe), no violation of the
// Content-Security-Policy, no request to anywhere else, nothing wider than the window.
//
//   node e2e/console.mjs <address> <claim code> <member,member> <virtual ip> <gallery>
//
// It prints `traffic please` when it wants connections through the virtual IP, and reads a line when they flow.
import { mkdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

const [address, code, members, virtualIp, gallery] = process.argv.slice(2)
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
const PASSWORD = 'sluice gate at dawn'
const WIDE = { width: 1440, height: 900 }
const PHONE = { width: 390, height: 844 }
const faults = []

await mkdir(gallery, { recursive: true })
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: WIDE, locale: 'en-US', bypassCSP: false })
const page = await context.newPage()
page.setDefaultTimeout(15_000)
// A browser reports violations to the page; the page must not be able to miss one.
await page.addInitScript(() => {
  globalThis.violations = []
  addEventListener('securitypolicyviolation', (event) => {
    globalThis.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`)
  })
})
page.on('request', (request) => {
  const url = request.url()
  if (!url.startsWith(`${address}/`) && !url.startsWith('data:')) faults.push(`a request went to ${url}`)
})
page.on('pageerror', (error) => faults.push(`an error in the page: ${error.message}`))
page.on('console', (message) => {
  // Answers of 401, 403 and 422 belong to the story; the browser logs them as errors.
  if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) faults.push(message.text())
})

const language = () => page.evaluate(() => document.documentElement.lang)
const dark = () => page.evaluate(() => document.documentElement.dataset.mantineColorScheme === 'dark')

/** What axe, the policy and the width say of the screen as it is. */
async function examine(scene) {
  // axe comes through the debugger, not through the page, so the policy stays as it is.
  await page.evaluate(axe)
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }))
  for (const { id, nodes } of found.violations) {
    for (const node of nodes) faults.push(`${scene}: axe ${id}: ${node.target.join(' ')}: ${node.failureSummary}`)
  }
  const violations = await page.evaluate(() => globalThis.violations.splice(0))
  for (const violation of violations) faults.push(`${scene}: CSP ${violation}`)
  const wider = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)
  if (wider) faults.push(`${scene}: wider than the window`)
}

/** Takes the picture of a screen and examines it, in the language and theme that it is in. */
async function picture(name) {
  const [lang, theme] = [await language(), (await dark()) ? 'dark' : 'light']
  // Transitions are over when nothing moves any more.
  await page.evaluate(() =>
    Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {}))),
  )
  const scene = `${name}-${page.viewportSize().width}-${theme}-${lang}`
  await page.screenshot({ path: join(gallery, `${scene}.png`) })
  await examine(scene)
}

/** A screen in both languages and themes. */
async function everyWay(name, prepare = async () => {}) {
  for (let round = 0; round < 4; round += 1) {
    await prepare()
    await picture(name)
    await switchTheme()
    if (round % 2 === 1) await switchLanguage()
  }
}

// By the buttons of the header, so that the page keeps its values; while a dialogue is open they are behind it, and what they
// store is set instead.
const behindDialogue = () => page.getByRole('dialog').isVisible()

async function switchTheme() {
  const next = (await dark()) ? 'light' : 'dark'
  if (await behindDialogue()) return restart('mantine-color-scheme-value', next)
  await page.getByRole('button', { name: /^(Dark theme|Light theme|深色主题|浅色主题)$/ }).click()
}

async function switchLanguage() {
  const next = (await language()) === 'en' ? 'zh-CN' : 'en'
  if (await behindDialogue()) return restart('penstock.language', next)
  await page.getByRole('button', { name: /^(切换到中文|Switch to English)$/ }).click()
}

async function restart(key, value) {
  await page.evaluate(([key, value]) => localStorage.setItem(key, value), [key, value])
  await page.reload()
}

function step(text) {
  console.error(`console: ${text}`)
}

async function claim() {
  step('claim')
  await page.goto(address)
  await page.getByRole('heading', { name: 'Claim this appliance' }).waitFor()
  await everyWay('claim', () => page.getByRole('button', { name: /^(Claim the|认领设备)/ }).waitFor())
  await page.getByLabel('One-time code').fill(code)
  await page.getByRole('textbox', { name: 'Password' }).fill('admin')
  await page.keyboard.press('Enter')
  await page.getByText('Too short, too long').waitFor()
  await page.getByRole('textbox', { name: 'Password' }).fill(PASSWORD)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Dashboard' }).waitFor()
  await page.getByText('No virtual service yet').waitFor()
  await picture('dashboard-empty')
}

/** With the keyboard alone. */
async function createService() {
  step('create a service')
  await page.getByRole('main').getByRole('button', { name: 'New virtual service' }).focus()
  await page.keyboard.press('Enter')
  await page.getByRole('dialog').waitFor()
  await page.getByRole('textbox', { name: 'Name' }).waitFor()
  await everyWay('create', () =>
    page
      .getByRole('dialog')
      .getByRole('button', { name: /^(Create|创建)$/ })
      .waitFor(),
  )
  await page.getByRole('textbox', { name: 'Name' }).focus()
  await page.keyboard.type('shop')
  await page.keyboard.press('Tab')
  await page.keyboard.type(virtualIp)
  await page.keyboard.press('Tab')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Tab')
  await page.keyboard.type(members.split(',').join('\n'))
  await page.getByText('2 members').waitFor()
  await page.getByRole('button', { name: 'Create', exact: true }).focus()
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'shop' }).waitFor()
  // Applied in the plane and on the host, and nothing green about members that nobody checks.
  await page.locator('.facts').getByText('Applied').waitFor()
  await page.locator('.facts').getByText('Not checked').waitFor()
}

async function seeTraffic() {
  step('traffic')
  await page.keyboard.press('Escape')
  await page.getByRole('link', { name: 'Dashboard' }).click()
  console.log('traffic please')
  await new Promise((resolve) => process.stdin.once('data', resolve))
  await page.waitForFunction(() => {
    const rate = [...document.querySelectorAll('.figure-value')][1]?.textContent ?? ''
    return Number.parseFloat(rate) > 0
  })
  await page.locator('.share-row').nth(1).waitFor()
  // A course to look at.
  await page.waitForTimeout(Number(process.env.PENSTOCK_GALLERY_SECONDS ?? 4) * 1000)
  const live = () => page.waitForFunction(() => document.querySelectorAll('.share-row').length >= 2)
  await page.getByText('Nothing needs attention').waitFor()
  await picture('dashboard')
  await everyWay('dashboard', live)
  await page.setViewportSize(PHONE)
  await everyWay('dashboard', live)
  await page.setViewportSize(WIDE)
}

async function switchMembers() {
  step('members')
  await page.getByRole('navigation').getByRole('link', { name: 'Virtual services' }).click()
  await page.getByRole('link', { name: 'shop' }).click()
  const actions = () => page.getByRole('button', { name: /^Actions for/ })
  await actions().first().waitFor()
  const bothMembers = () => page.locator('.members tbody tr').nth(1).waitFor()
  await everyWay('detail', bothMembers)
  await page.setViewportSize(PHONE)
  await everyWay('detail', bothMembers)
  await page.setViewportSize(WIDE)
  await actions().first().click()
  await page.getByRole('menuitem', { name: 'Drain' }).click()
  await page.locator('.members').getByText('Draining').first().waitFor()
  await page.getByRole('button', { name: 'Undo' }).click()
  await page.getByText('Undone').waitFor()
  await page.locator('.members').getByText('Draining').first().waitFor({ state: 'detached' })
  for (const which of [0, 1]) {
    await actions().nth(which).click()
    await page.getByRole('menuitem', { name: 'Disable' }).click()
    await page.locator('.members').getByText('Disabled').nth(which).waitFor()
  }
  await page.locator('.facts').getByText('Down').waitFor()
  await page.keyboard.press('Escape')
  await everyWay('services', () => page.locator('.services tbody tr').waitFor())
  await page.setViewportSize(PHONE)
  await everyWay('services', () => page.locator('.services tbody tr').waitFor())
  await page.setViewportSize(WIDE)
  await page.getByRole('link', { name: 'Dashboard' }).click()
  await page.getByText('No member takes new connections').waitFor()
  await picture('dashboard-attention')
}

async function signOutAndIn() {
  step('sign out and in')
  await page.getByRole('button', { name: 'Account' }).click()
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  await page.getByRole('heading', { name: 'Sign in' }).waitFor()
  await everyWay('sign-in', () => page.locator('input[type=password]').waitFor())
  await page.getByLabel('Name').fill('admin')
  await page.getByRole('textbox', { name: 'Password' }).fill(PASSWORD)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'Dashboard' }).waitFor()
  const readable = await page.evaluate(() => document.cookie + Object.keys(localStorage).join(' '))
  if (/__Host-penstock|eyJ/.test(readable)) faults.push(`a script can read the token: ${readable}`)
}

try {
  for (const part of [claim, createService, seeTraffic, switchMembers, signOutAndIn]) await part()
} catch (error) {
  await page.screenshot({ path: join(gallery, 'failed.png') })
  faults.push(error.stack)
}
await browser.close()
for (const fault of faults) console.error(`console: ${fault}`)
// Standard input is still open: without this the process would wait for it.
process.exit(faults.length === 0 ? 0 : 1)
