// Every screen, in every language, theme and width: nothing may violate accessibility (axe), the Content-Security-Policy or the
// width of the window. The short matrix takes two ways through them that differ in everything; the full one takes all eight, and
// looks at a window at 200 % zoom too.
import { join } from 'node:path'
import { equip, examine, PHONE, settled, widthOf, WIDE, ZOOMED } from './harness.mjs'
import { screens } from './screens.mjs'

const SHORT = [
  { theme: 'light', language: 'en', size: WIDE },
  { theme: 'dark', language: 'zh-CN', size: PHONE },
]
const FULL = ['light', 'dark'].flatMap((theme) =>
  ['en', 'zh-CN'].flatMap((language) => [WIDE, PHONE].map((size) => ({ theme, language, size }))),
)

export async function matrix({ browser, context, address, gallery, faults, read, full, only }) {
  const all = (await screens(read)).filter(({ name }) => only === undefined || only.includes(name))
  const ways = full ? FULL : SHORT
  for (const { theme, language, size } of ways) {
    // As it is now: the session of a page that waits would end before its turn comes.
    const storageState = await context.storageState()
    const own = await browser.newContext({ ignoreHTTPSErrors: true, viewport: size, storageState })
    await own.addInitScript(
      ([theme, language]) => {
        localStorage.setItem('mantine-color-scheme-value', theme)
        localStorage.setItem('penstock.language', language)
      },
      [theme, language],
    )
    const page = await equip(await own.newPage(), address, faults)
    for (const { name, path } of all) {
      const scene = `${name}-${size.width}-${theme}-${language}`
      try {
        await visit(page, address + path)
        await page.screenshot({ path: join(gallery, `${scene}.png`), fullPage: !path.includes('create') })
        // Signing in is not what was to be seen.
        if ((await page.locator('.front').count()) > 0) throw new Error('signed out')
        await examine(page, scene, faults)
        if (full && theme === 'light') {
          await page.setViewportSize(ZOOMED)
          await widthOf(page, `${scene} at 200 %`, faults)
          await page.setViewportSize(size)
        }
      } catch (error) {
        faults.push(`${scene}: ${error.message}`)
      }
    }
    await own.close()
  }
  console.error(`console: ${all.length} screens in ${ways.length} ways`)
}

/** The browser gives up what it is loading when addresses of this machine change: then the page, or a part of it, is not there. */
async function visit(page, url) {
  for (let tries = 1; ; tries += 1) {
    let changed = false
    const failed = (request) => (changed ||= request.failure()?.errorText === 'net::ERR_NETWORK_CHANGED')
    page.on('requestfailed', failed)
    try {
      await page.goto(url)
      await settled(page)
      return
    } catch (error) {
      if (tries === 4 || !(changed || /ERR_NETWORK_CHANGED|interrupted by another/.test(String(error)))) throw error
    } finally {
      page.off('requestfailed', failed)
    }
  }
}
