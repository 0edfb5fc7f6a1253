// How fast the console is, in a real browser on a real appliance: prints figures and judges nothing.
//
//   node e2e/bench.mjs <address> <claim code> <member,member> <virtual ip> <gallery>
import { openBrowser, WIDE } from './harness.mjs'

const [address, code, members, virtualIp, gallery] = process.argv.slice(2)
/** With fewer it is over sooner. */
const MOST = Number(process.env.PENSTOCK_SERVICES ?? 10_000)
const PASSWORD = 'sluice gate at dawn'
const { browser, context, page, faults } = await openBrowser(address, gallery)
const say = (what, figure) => console.error(`console: ${what.padEnd(64)} ${figure}`)
const ms = (value) => `${value.toFixed(0)} ms`
const wish = (text) => {
  console.log(`${text} please`)
  return new Promise((resolve) => process.stdin.once('data', resolve))
}
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]

const call = (method, path, body, etag) =>
  page.evaluate(
    async ([method, path, body, etag]) => {
      const headers = { 'X-Penstock-Console': '1', 'Content-Type': 'application/json' }
      if (etag) headers['If-Match'] = etag
      const answer = await fetch(`/api/v1/${path}`, { method, headers, body: body && JSON.stringify(body) })
      const text = await answer.text()
      if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 400)}`)
      return text === '' ? null : JSON.parse(text)
    },
    [method, path, body, etag],
  )

/** From the beginning of a navigation: when something stood on the screen, and when its rows did. Nothing is in the cache. */
async function paint(what, path, ready) {
  const found = []
  for (let n = 0; n < 5; n += 1) {
    const fresh = await browser.newContext({
      ignoreHTTPSErrors: true,
      viewport: WIDE,
      storageState: await context.storageState(),
    })
    const page = await fresh.newPage()
    await page.addInitScript((ready) => {
      const look = () => {
        if (document.querySelectorAll(ready).length === 0) return requestAnimationFrame(look)
        requestAnimationFrame(() => (globalThis.ready = performance.now()))
      }
      addEventListener('DOMContentLoaded', look)
      globalThis.shift = 0
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) globalThis.shift += entry.value
      }).observe({ type: 'layout-shift', buffered: true })
    }, ready)
    const session = await fresh.newCDPSession(page)
    await session.send('Performance.enable')
    await page.goto(address + path)
    await page.waitForFunction(() => globalThis.ready !== undefined)
    const { metrics } = await session.send('Performance.getMetrics')
    const seen = await page.evaluate(() => ({
      first: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN,
      ready: globalThis.ready,
      shift: globalThis.shift,
    }))
    found.push({ ...seen, work: metrics.find(({ name }) => name === 'TaskDuration').value * 1000 })
    await fresh.close()
  }
  const of = (key) => median(found.map((one) => one[key]))
  say(
    what,
    `first paint ${ms(of('first'))}, ready ${ms(of('ready'))}, main thread ${ms(of('work'))}, shift ${of('shift').toFixed(3)}`,
  )
}

/** From a key to the rows that fit it, painted; what the appliance filters is asked of it within this time. */
async function filter(what, word, rows) {
  const times = []
  for (let n = 0; n < 7; n += 1) {
    const time = page.evaluate(
      ([word, rows]) =>
        new Promise((resolve) => {
          const input = document.querySelector('input[type=search]')
          const begun = performance.now()
          const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set
          set.call(input, word)
          input.dispatchEvent(new Event('input', { bubbles: true }))
          const look = () => {
            const found = [...document.querySelectorAll('.list tbody tr:not(.gap)')]
            const fits =
              found.length > 0 && found.length <= rows && found.every((row) => row.textContent.includes(word))
            if (!fits) return requestAnimationFrame(look)
            resolve(performance.now() - begun)
          }
          requestAnimationFrame(look)
        }),
      [word, rows],
    )
    times.push(await time)
    await page.getByRole('searchbox').fill('')
    await page.waitForFunction((rows) => document.querySelectorAll('.list tbody tr:not(.gap)').length > rows, rows)
    await page.waitForTimeout(300)
  }
  say(what, `${ms(median(times))} (${times.map((one) => one.toFixed(0)).join(', ')})`)
}

/** What the browser's processes burn for a screen that is left alone. */
async function idle(what, path, seconds = 30) {
  await page.goto(address + path)
  await page.waitForTimeout(5000)
  const session = await browser.newBrowserCDPSession()
  const time = async () => {
    const { processInfo } = await session.send('SystemInfo.getProcessInfo')
    const of = (type) => processInfo.filter((one) => one.type === type).reduce((sum, { cpuTime }) => sum + cpuTime, 0)
    return { renderer: of('renderer'), all: processInfo.reduce((sum, { cpuTime }) => sum + cpuTime, 0) }
  }
  const before = await time()
  const begun = Date.now()
  await page.waitForTimeout(seconds * 1000)
  const after = await time()
  const share = (key) => `${((100 * (after[key] - before[key])) / ((Date.now() - begun) / 1000)).toFixed(1)} %`
  say(what, `${share('renderer')} of a core in the page, ${share('all')} in the whole browser`)
}

/** So many more services, on ports of one address; as one edit each. */
async function grow(pool, vip, from, to) {
  const operations = Array.from({ length: to - from }, (_, n) => ({
    action: 'create',
    resource: 'virtual_services',
    document: {
      name: `service-${String(from + n).padStart(5, '0')}`,
      virtual_ip_ids: [vip],
      protocol: 'udp',
      port: 1000 + from + n,
      default_pool_id: pool,
      tags: [`team-${(from + n) % 40}`],
    },
  }))
  for (let at = 0; at < operations.length; at += 500) {
    const { id } = await call('POST', 'changesets', { name: `grow ${at}`, operations: operations.slice(at, at + 500) })
    await call('POST', `changesets/${id}/apply`, null, '*')
  }
}

/** As many as there may be. */
async function many(pool, vip) {
  const begun = Date.now()
  await grow(pool, vip, 1000, MOST)
  say('made the rest of them by changesets of 500', ms(Date.now() - begun))
  await paint(`${MOST} services: the list`, '/virtual-services', '.list tbody tr')
  await page.goto(`${address}/virtual-services`)
  await page.locator('.list tbody tr').first().waitFor()
  await page.waitForTimeout(2000)
  await filter(`${MOST} services: filter`, `service-${String(MOST - 1).padStart(5, '0')}`, 1)
  await paint(`${MOST} services: the dashboard`, '/', '.figure-value')
  await paint(`${MOST} services: the map`, '/topology', '.topology .map-node')
  await idle(`dashboard at 1 Hz, ${MOST} services`, '/')
  await page.goto(`${address}/virtual-services`)
  await page.locator('.list tbody tr').nth(20).waitFor()
  const scrolled = Date.now()
  for (let n = 0; n < 40; n += 1) {
    await page.mouse.wheel(0, 4000)
    await page.waitForTimeout(100)
  }
  const rows = await page.locator('.list tbody tr:not(.gap)').count()
  const last = await page.locator('.list tbody tr:not(.gap)').last().getAttribute('aria-rowindex')
  say(`${MOST} services: scrolled`, `to row ${last} in ${ms(Date.now() - scrolled)}; ${rows} rows are in the page`)
}

try {
  await page.goto(address)
  await page.getByLabel('One-time code').fill(code)
  await page.getByRole('textbox', { name: 'Password' }).fill(PASSWORD)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'The first service' }).waitFor()
  const { id: vip } = await call('POST', 'virtual-ips', { name: virtualIp, address: virtualIp })
  const { id: pool } = await call('POST', 'pools', { name: 'shop' })
  const { id: datagrams } = await call('POST', 'pools', { name: 'datagrams', protocol: 'udp' })
  for (const [n, one] of members.split(',').entries()) {
    const [host, port] = one.split(':')
    const member = { name: `member-${n}`, address: host, port: Number(port) }
    await call('POST', `pools/${pool}/members`, member)
    await call('POST', `pools/${datagrams}/members`, member)
  }
  await call('POST', 'virtual-services', {
    name: 'shop',
    virtual_ip_ids: [vip],
    protocol: 'tcp',
    port: 80,
    default_pool_id: pool,
  })
  await wish('traffic')
  await paint('dashboard, one service', '/', '.share-row, .figure-value')
  await idle('dashboard at 1 Hz, one service', '/')
  await grow(datagrams, vip, 0, 400)
  await paint('400 services: the list', '/virtual-services', '.list tbody tr')
  await page.goto(`${address}/virtual-services`)
  await page.locator('.list tbody tr').first().waitFor()
  await filter('400 services: filter', 'service-00313', 1)
  await grow(datagrams, vip, 400, 1000)
  await paint('1,000 services: the list', '/virtual-services', '.list tbody tr')
  await page.goto(`${address}/virtual-services`)
  await page.locator('.list tbody tr').first().waitFor()
  await page.waitForTimeout(2000)
  await filter('1,000 services: filter', 'service-00777', 1)
  await idle('dashboard at 1 Hz, 1,000 services', '/')
  await idle('list of 1,000 services at 1 Hz', '/virtual-services')
  if (MOST > 1000) await many(datagrams, vip)
} catch (error) {
  faults.push(error.stack)
}
await browser.close()
for (const fault of faults) console.error(`console: ${fault}`)
process.exit(faults.length === 0 ? 0 : 1)
