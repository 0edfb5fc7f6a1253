// A browser that misses nothing: every screen is looked at in both languages and themes, and on the way nothing may violate
// accessibility (axe), the Content-Security-Policy or the width of the window, or ask anybody but the appliance.
import { mkdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { chromium } from 'playwright-core'

export const WIDE = { width: 1440, height: 900 }
export const PHONE = { width: 390, height: 844 }
/** What is left of a wide window at 200 % zoom. */
export const ZOOMED = { width: 720, height: 450 }

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** Lets a page miss nothing: what it asks of others, what fails in it, what the policy forbids. */
export async function equip(page, address, faults) {
  page.setDefaultTimeout(40_000)
  // A browser reports violations to the page; the page must not be able to miss one.
  await page.addInitScript(() => {
    globalThis.violations = []
    addEventListener('securitypolicyviolation', (event) => {
      globalThis.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`)
    })
  })
  page.on('request', (request) => {
    const url = request.url()
    const own = url.startsWith(`${address}/`) || url.startsWith('data:') || url.startsWith(`blob:${address}/`)
    if (!own) faults.push(`a request went to ${url}`)
  })
  page.on('pageerror', (error) => faults.push(`an error in the page: ${error.message}`))
  page.on('dialog', (dialog) => faults.push(`a script opened a dialogue: ${dialog.message()}`))
  page.on('console', (message) => {
    // Answers of 401, 403, 412 and 422 belong to the story; the browser logs them as errors.
    const known = message.text().startsWith('Failed to load resource')
    if (message.type() === 'error' && !known) faults.push(message.text())
  })
  return page
}

/** Transitions are over when nothing moves any more. */
const still = (page) =>
  page.evaluate(() => Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => {}))))

/** A screen has its title and what it shows; nothing is being loaded. */
export async function settled(page) {
  await page.locator('h1, [role=dialog]').first().waitFor()
  await page.waitForFunction(() => {
    const rooms = document.querySelectorAll('.mantine-Skeleton-root, .detail-name bdi:empty')
    const empty = [...document.querySelectorAll('main section.card, [role=dialog]')].some((e) => e.textContent === '')
    return rooms.length === 0 && !empty
  })
  await still(page)
}

/** What axe, the policy and the width say of a screen as it is. */
export async function examine(page, scene, faults) {
  // axe comes through the debugger, not through the page, so the policy stays as it is.
  await page.evaluate(axe)
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }))
  for (const { id, nodes } of found.violations) {
    for (const node of nodes) faults.push(`${scene}: axe ${id}: ${node.target.join(' ')}: ${node.failureSummary}`)
  }
  const violations = await page.evaluate(() => globalThis.violations.splice(0))
  for (const violation of violations) faults.push(`${scene}: CSP ${violation}`)
  if (process.env.PENSTOCK_MATRIX === 'full') await examineTexts(page, scene, faults)
  await widthOf(page, scene, faults)
}

/** Whether texts keep to themselves, and to the language. */
async function examineTexts(page, scene, faults) {
  if (scene.endsWith('zh-CN') && !scene.startsWith('reference'))
    for (const text of await page.evaluate(leftInEnglish)) faults.push(`${scene}: left in English: ${text}`)
  for (const text of await page.evaluate(turnedAround))
    faults.push(`${scene}: this turns what stands after it: ${text}`)
}

/** Sentences on a Chinese screen that are English: four plain words, one after the other. Commands and documents are no sentences. */
function leftInEnglish() {
  const found = []
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  for (let text = texts.nextNode(); text !== null; text = texts.nextNode()) {
    if (text.parentElement.closest('.mono, pre, code, script, style') !== null) continue
    if (/(?:\b[a-z]{2,}[ ,;:]+){3}[a-z]{2,}/.test(text.data)) found.push(text.data.slice(0, 120))
  }
  return found
}

/**
 * Texts with another direction in them, and without bounds: what stands after them on the same line is turned around. Bounds are an
 * element that isolates, or characters that do.
 */
function turnedAround() {
  const bounded = (e) => {
    const { display, unicodeBidi } = getComputedStyle(e)
    return display !== 'inline' || unicodeBidi !== 'normal'
  }
  const found = []
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  for (let text = texts.nextNode(); text !== null; text = texts.nextNode()) {
    const at = text.data.search(/[\u202A-\u202E]/)
    if (at < 0 || /[\u2066-\u2068][^\u2069]*$/.test(text.data.slice(0, at))) continue
    let room = text.parentElement
    while (!bounded(room)) room = room.parentElement
    const rest = document.createRange()
    rest.setStartAfter(text)
    rest.setEndAfter(room.lastChild)
    if (rest.toString().trim() !== '')
      found.push(`${room.tagName} .${room.className}: ${room.textContent.slice(0, 80)}`)
  }
  return found
}

export async function widthOf(page, scene, faults) {
  const wider = await page.evaluate(() => {
    const room = [...document.querySelectorAll('.mantine-Modal-body, .mantine-Drawer-body, .card:not(.flush)')].find(
      (e) => e.scrollWidth > e.clientWidth + 1,
    )
    if (room !== undefined) {
      const end = room.getBoundingClientRect().right
      const out = [...room.querySelectorAll('*')].find((e) => e.getBoundingClientRect().right > end)
      return `${out?.tagName} .${out?.className} in .${room.className}, by ${room.scrollWidth - room.clientWidth} px`
    }
    if (document.documentElement.scrollWidth <= innerWidth) return null
    const widest = [...document.querySelectorAll('body *')].find(
      (e) => e.getBoundingClientRect().right > innerWidth + 1,
    )
    return `${widest?.tagName} .${widest?.className}`
  })
  if (wider !== null) faults.push(`${scene}: wider than the window: ${wider}`)
}

export async function openBrowser(address, gallery) {
  await mkdir(gallery, { recursive: true })
  const faults = []
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
  const context = await browser.newContext({
    ignoreHTTPSErrors: true,
    viewport: WIDE,
    locale: 'en-US',
    bypassCSP: false,
  })
  const page = await context.newPage()
  await equip(page, address, faults)

  const language = () => page.evaluate(() => document.documentElement.lang)
  const dark = () => page.evaluate(() => document.documentElement.dataset.mantineColorScheme === 'dark')

  /** Takes the picture of a screen and examines it, in the language and theme that it is in. */
  async function picture(name) {
    const [lang, theme] = [await language(), (await dark()) ? 'dark' : 'light']
    await still(page)
    const scene = `${name}-${page.viewportSize().width}-${theme}-${lang}`
    await page.screenshot({ path: join(gallery, `${scene}.png`) })
    await examine(page, scene, faults)
  }

  /**
   * By the buttons of the header, so that the page keeps its values; while a dialogue is open they are behind it, and what they
   * store is set instead.
   */
  async function turn(theme, lang) {
    if (await page.getByRole('dialog').first().isVisible()) {
      await page.evaluate(
        ([theme, lang]) => {
          localStorage.setItem('mantine-color-scheme-value', theme)
          localStorage.setItem('penstock.language', lang)
        },
        [theme, lang],
      )
      // The browser gives up a page when addresses of this machine change.
      return page.reload().catch((error) => {
        if (!String(error).includes('ERR_NETWORK_CHANGED')) throw error
        return page.reload()
      })
    }
    if (((await dark()) ? 'dark' : 'light') !== theme) {
      await page.getByRole('button', { name: /^(Dark theme|Light theme|深色主题|浅色主题)$/ }).click()
    }
    if ((await language()) !== lang) {
      await page.getByRole('button', { name: /^(切换到中文|Switch to English)$/ }).click()
      await page.waitForFunction((lang) => document.documentElement.lang === lang, lang)
    }
  }

  /** A screen in both languages and themes. It ends as it began: light and English. */
  async function everyWay(name, prepare = async () => {}) {
    const ways = [
      ['dark', 'en'],
      ['dark', 'zh-CN'],
      ['light', 'zh-CN'],
      ['light', 'en'],
    ]
    for (const [theme, lang] of ways) {
      await prepare()
      await turn(theme, lang)
      await prepare()
      await picture(name)
    }
  }

  /** The same on a phone too; on a window at 200 % zoom only its width is looked at. */
  async function everySize(name, prepare = async () => {}) {
    await everyWay(name, prepare)
    await page.setViewportSize(PHONE)
    await everyWay(name, prepare)
    await page.setViewportSize(ZOOMED)
    await prepare()
    await widthOf(page, `${name} at 200 %`, faults)
    await page.setViewportSize(WIDE)
  }

  return { browser, context, page, faults, everyWay, everySize, picture }
}
