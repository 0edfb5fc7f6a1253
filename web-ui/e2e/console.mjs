// The console in a real browser on a real appliance: claim it, create a service, see traffic appear, change it, meet another
// operator, lose the session and the connection, and come back.
//
//   node e2e/console.mjs <address> <claim code> <member,member> <virtual ip> <gallery>
//
// It prints wishes, as `traffic please`, and reads a line when they are fulfilled.
import { execFileSync } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import decodeQR from 'qr/decode.js'
import { equip, openBrowser, PHONE, WIDE } from './harness.mjs'
import { matrix } from './matrix.mjs'

const [address, code, members, virtualIp, gallery] = process.argv.slice(2)
const PASSWORD = 'sluice gate at dawn'
const { browser, context, page, faults, everyWay, everySize, picture } = await openBrowser(address, gallery)
const full = process.env.PENSTOCK_MATRIX === 'full'

const begun = Date.now()
const step = (text) => console.error(`console: [${((Date.now() - begun) / 1000).toFixed(0).padStart(4)} s] ${text}`)
const dialog = () => page.getByRole('dialog')
const button = (name) => page.getByRole('button', { name, exact: true })
const visit = async (place) => {
  await page.getByRole('navigation').getByRole('link', { name: place }).click()
  await page.getByRole('heading', { name: place, level: 1 }).waitFor()
}
/** What the matrix looks at in every way is looked at once on the way. */
const once = async (name, prepare) => {
  await prepare()
  await picture(name)
}
/** Asks the lab for something, and waits until it is so. */
const wish = (text) => {
  console.log(`${text} please`)
  return new Promise((resolve) => process.stdin.once('data', resolve))
}
/** A row of a list has come; in whatever language. */
const row = () => page.locator('.list tbody tr').first().waitFor()

/** A call of the API with the browser's own session, as another operator would make it. */
function call(method, path, body, etag) {
  return page.evaluate(
    async ([method, path, body, etag]) => {
      const headers = { 'X-Penstock-Console': '1', 'Content-Type': 'application/json' }
      if (etag) headers['If-Match'] = etag
      const ask = () => fetch(`/api/v1/${path}`, { method, headers, body: body && JSON.stringify(body) })
      // The browser gives up what it asks when addresses of this machine change; reading twice does no harm.
      const answer = await ask().catch((error) => (method === 'GET' ? ask() : Promise.reject(error)))
      return { status: answer.status, etag: answer.headers.get('ETag'), body: await answer.json().catch(() => null) }
    },
    [method, path, body, etag],
  )
}
const named = async (collection, name) => {
  const { body } = await call('GET', `${collection}?name=${encodeURIComponent(name)}`)
  return body.items[0]
}

/** Opens the console. The browser gives up what it is loading when addresses of this machine change, as they do while the lab's settle. */
async function open() {
  for (let tries = 0; tries < 10; tries += 1) {
    let changed = false
    const failed = (request) => (changed ||= request.failure()?.errorText === 'net::ERR_NETWORK_CHANGED')
    page.on('requestfailed', failed)
    await page.goto(address).catch((error) => {
      if (!/ERR_NETWORK_CHANGED|interrupted by another navigation/.test(String(error))) throw error
      changed = true
    })
    page.off('requestfailed', failed)
    if (!changed) return
    console.error('console: addresses changed while the page was loading: once more')
  }
}

async function claim() {
  await open()
  await page.getByRole('heading', { name: 'Claim this appliance' }).waitFor()
  await everySize('claim', () => page.getByRole('button', { name: /^(Claim the|认领设备)/ }).waitFor())
  await page.getByLabel('One-time code').fill(code)
  await page.getByRole('textbox', { name: 'Password' }).fill('admin')
  await page.keyboard.press('Enter')
  await page.getByText('Too short, too long').waitFor()
  await page.getByRole('textbox', { name: 'Password' }).fill(PASSWORD)
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: 'The first service' }).waitFor()
  await once('start', () => page.locator('.rows li').first().waitFor())
  await button('Later').click()
  await page.getByRole('heading', { name: 'Dashboard' }).waitFor()
  await page.getByText('No virtual service yet').waitFor()
  await picture('dashboard-empty')
}

/** With the keyboard alone. */
async function createService() {
  await page.keyboard.press('g')
  await page.keyboard.press('v')
  await page.getByRole('heading', { name: 'Virtual services', level: 1 }).waitFor()
  await page.getByText('No virtual service yet').waitFor()
  await picture('services-empty')
  await page.keyboard.press('n')
  await dialog().getByRole('textbox', { name: 'Name' }).waitFor()
  await once('create', () =>
    dialog()
      .getByRole('button', { name: /^(Create|创建)$/ })
      .waitFor(),
  )
  await dialog().getByRole('textbox', { name: 'Name' }).focus()
  await page.keyboard.type('shop')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Tab')
  await page.keyboard.type(virtualIp)
  await page.keyboard.press('Tab')
  await page.keyboard.press('Tab')
  await page.keyboard.type('not an address')
  await button('Create').focus()
  await page.keyboard.press('Enter')
  await page.getByText('Line 1: not an address with a port').waitFor()
  await page.getByRole('textbox', { name: 'Members' }).fill(members.split(',').join('\n'))
  await page.getByText('2 members').waitFor()
  // It is shown what members look like that nobody watches.
  await page.getByRole('switch', { name: 'Watch the members' }).uncheck({ force: true })
  await page.getByText('Show as an API call').click()
  await page.getByText('POOL=$(curl').waitFor()
  await page.getByText('penstock', { exact: true }).click()
  await page.getByText('POOL=$(penstock -o json create').waitFor()
  await button('Create').focus()
  await page.keyboard.press('Enter')
  await dialog().getByText('Resource map').waitFor()
  await dialog().getByText('shop').first().waitFor()
}

async function seeTraffic() {
  await page.keyboard.press('Escape')
  await visit('Dashboard')
  await wish('traffic')
  await page.waitForFunction(() => {
    const rate = [...document.querySelectorAll('.figure-value')][1]?.textContent ?? ''
    return Number.parseFloat(rate) > 0
  })
  await page.locator('.share-row').nth(1).waitFor()
  // A course to look at.
  await page.waitForTimeout(Number(process.env.PENSTOCK_GALLERY_SECONDS ?? 4) * 1000)
  await page.getByText('Nothing needs attention').waitFor()
  await everySize('dashboard', () => page.waitForFunction(() => document.querySelectorAll('.share-row').length >= 2))
}

async function switchMembers() {
  await visit('Virtual services')
  await once('services', row)
  await page.getByRole('link', { name: 'shop' }).click()
  const bothMembers = () => dialog().locator('.list tbody tr').nth(1).waitFor()
  await everySize('service', bothMembers)
  const actions = () => dialog().getByRole('button', { name: /^Actions for/ })
  const table = dialog().locator('.list')
  await actions().first().click()
  await page.getByRole('menuitem', { name: 'Drain' }).click()
  await table.getByText('Draining').first().waitFor()
  await takeBack(/draining/)
  await page.getByText('Undone').waitFor()
  await table.getByText('Draining').first().waitFor({ state: 'detached' })
  // All at once, then nobody serves.
  await table.getByRole('checkbox', { name: 'Select all' }).check()
  await dialog().getByRole('toolbar').getByRole('button', { name: 'Disable' }).click()
  await dialog().getByText('No member takes new connections').waitFor()
  await picture('service-down')
  await page.keyboard.press('Escape')
  await visit('Dashboard')
  await page.getByText('No member takes new connections').waitFor()
  await picture('dashboard-attention')
  await visit('Virtual services')
  await once('services-down', row)
}

/** Another message before it may still have its way back: it is this one that is taken. */
const takeBack = (message) =>
  page.locator('.toast').filter({ hasText: message }).last().getByRole('button', { name: 'Undo' }).click()

async function pools() {
  await visit('Pools')
  await once('pools', row)
  await page.keyboard.press('j')
  await page.keyboard.press('Enter')
  await dialog().locator('.list tbody tr').nth(1).waitFor()
  await once('pool', () => dialog().locator('.list tbody tr').nth(1).waitFor())
  // Deleting a member can be undone.
  const actions = dialog().getByRole('button', { name: /^Actions for/ })
  await actions.first().click()
  await page.getByRole('menuitem', { name: 'Delete' }).click()
  await dialog().locator('.list tbody tr').nth(1).waitFor({ state: 'detached' })
  await takeBack(/is deleted/)
  await dialog().locator('.list tbody tr').nth(1).waitFor()
  await page.keyboard.press('Escape')
  await page.keyboard.press('n')
  await dialog().getByRole('textbox', { name: 'Name' }).fill('spare')
  await dialog().getByText('Show as an API call').click()
  await dialog().getByText('"name": "spare"').waitFor()
  await picture('pool-create')
  await button('Create').click()
  await dialog().getByText('This pool has no members').waitFor()
  await page.keyboard.press('Escape')
}

async function virtualIps() {
  await visit('Virtual IPs')
  await once('virtual-ips', row)
  await page.getByRole('link', { name: virtualIp }).click()
  await once('virtual-ip', () => dialog().locator('.rows li').first().waitFor())
  // What is in use cannot be deleted, and the reason is said.
  await dialog().getByRole('button', { name: 'Delete' }).click()
  await page.getByRole('button', { name: 'Delete it' }).click()
  await page.getByText('Something still uses it').waitFor()
  await picture('virtual-ip-in-use')
  await page.getByRole('button', { name: 'Cancel' }).click()
  await page.keyboard.press('Escape')
}

/** Members that are watched are up; one that does not answer is down, and every screen says so by itself. */
async function healthChecks() {
  await visit('Health checks')
  await page.getByText('No health check yet').waitFor()
  await picture('monitors-empty')
  await page.keyboard.press('n')
  await dialog().getByRole('textbox', { name: 'Name' }).fill('home page')
  await dialog().getByRole('textbox', { name: 'Interval' }).fill('200')
  await picture('monitor-create')
  await button('Create').click()
  await page.getByText('home page is created').waitFor()
  const pool = await named('pools', 'shop')
  const monitor = await named('monitors', 'home page')
  const { body } = await call('GET', `pools/${pool.id}/members`)
  for (const { id } of body.items) await call('PATCH', `pools/${pool.id}/members/${id}`, { state: 'enabled' }, '*')
  await call('PATCH', `pools/${pool.id}`, { monitor_ids: [monitor.id] }, '*')
  await once('monitors', row)
  await visit('Pools')
  await page.locator('.list').getByText('Up').waitFor()
  await call('POST', `pools/${pool.id}/members`, { name: 'dead', address: '198.18.2.99', port: 80 })
  await page
    .locator('.toast')
    .getByText(/^member \S+ is down/)
    .waitFor()
  await page.locator('.list').getByText('Degraded').waitFor()
  await visit('Virtual services')
  await once('services-degraded', row)
  await page.getByRole('link', { name: 'shop' }).click()
  await once('service-degraded', () => dialog().locator('.map .node-down').first().waitFor())
  await page.keyboard.press('Escape')
  await visit('Dashboard')
  await everyWay('dashboard-degraded', () => page.locator('.attention li').first().waitFor())
}

/**
 * A real member dies: within a second of the decision the list of what needs attention, the maps and a message say so, on screens
 * that nobody touches; and that it is back, as well.
 */
async function memberDies() {
  const service = await named('virtual-services', 'shop')
  const places = { attention: '/', map: `/virtual-services/${service.id}`, topology: '/topology' }
  const pages = {}
  for (const [name, path] of Object.entries(places)) {
    pages[name] = await equip(await context.newPage(), address, faults)
    // What happens before its stream is there it would not hear of.
    const streaming = pages[name].waitForResponse(/events\/stream$/)
    await pages[name].goto(address + path)
    await streaming
  }
  // What each screen shows of a member that is down, beside that one that was dead before.
  const seen = {
    attention: () => document.querySelector('.attention')?.textContent.includes('2 of 3 members are down'),
    map: () => document.querySelectorAll('.map .node-down').length === 2,
    topology: () => document.querySelectorAll('.tile-down').length >= 2,
  }
  const when = (name, page, test) =>
    page.waitForFunction(test, undefined, { polling: 50 }).then(
      () => [name, Date.now()],
      (error) => {
        throw new Error(`${name} never says that a member died: ${error.message}`)
      },
    )
  await pages.topology.locator('.tile-down').first().waitFor()
  await pages.map.locator('.map .node-down').first().waitFor()
  await pages.attention.getByText('1 of 3 members is down').waitFor()
  const waiting = Object.entries(seen).map(([name, test]) => when(name, pages[name], test))
  waiting.push(when('toast', pages.attention, () => document.querySelector('.toasts')?.textContent.includes('is down')))
  await wish('member 2 dies')
  const times = await Promise.all(waiting)
  const { body } = await call('GET', 'events?limit=20')
  const decided = Date.parse(body.items.find(({ kind }) => kind === 'member.down').at)
  for (const [name, at] of times) {
    console.error(`console: ${name} says that a member died ${at - decided} ms after the decision`)
    // How fast it is on a machine at leisure is in the bench.
    if (at - decided > 5000) faults.push(`${name} needed ${at - decided} ms to say that a member died`)
  }
  await pages.topology.screenshot({ path: join(gallery, 'topology-member-died.png') })
  await pages.map.screenshot({ path: join(gallery, 'service-member-died.png') })
  await wish('member 2 lives')
  await pages.attention.getByText('1 of 3 members is down').waitFor()
  for (const page of Object.values(pages)) await page.close()
}

/** A member drains: what is left of it is counted, and for how long it has at most. */
async function drainWithCountdown() {
  const pool = await named('pools', 'shop')
  await call('PATCH', `pools/${pool.id}`, { drain_timeout_s: 60 }, '*')
  await wish('a long download')
  await page.goto(`${address}/pools/${pool.id}`)
  const table = dialog().locator('.list')
  await table.locator('tbody tr').nth(2).waitFor()
  await table.getByRole('checkbox', { name: 'Select all' }).check()
  await dialog().getByRole('toolbar').getByRole('button', { name: 'Drain' }).click()
  const left = table.getByText(/1 connection left\s*they end in \d+ s/).first()
  await left.waitFor()
  const seconds = async () => Number((await left.textContent()).match(/in (\d+) s/)[1])
  const before = await seconds()
  await page.waitForFunction(
    (before) => Number(document.querySelector('[role=dialog] .list')?.textContent.match(/in (\d+) s/)?.[1]) < before,
    before,
  )
  await picture('drain')
  await takeBack(/draining/)
  await page.getByText('Undone').waitFor()
  await call('PATCH', `pools/${pool.id}`, { drain_timeout_s: null }, '*')
  await page.keyboard.press('Escape')
}

/** Who is connected, by whom and how far; one is ended, and what a packet would meet is said beforehand. */
async function connections() {
  await wish('a long download')
  const service = await named('virtual-services', 'shop')
  await page.goto(`${address}/connections?virtual_service_id=${service.id}&state=established`)
  await row()
  await button('Hold still').click()
  await picture('connections-held')
  const actions = page.getByRole('button', { name: /^Actions for 198/ })
  const before = await actions.count()
  const client = (await actions.first().getAttribute('aria-label')).replace('Actions for ', '')
  await actions.first().click()
  await page.getByRole('menuitem', { name: 'End it' }).click()
  if (await dialog().getByRole('button', { name: 'End it' }).isEnabled())
    faults.push('ending a connection needs no word')
  await dialog().getByRole('textbox').fill(client)
  await dialog().getByRole('button', { name: 'End it' }).click()
  await page.getByText(`The connection of ${client} is ended`).waitFor()
  await button('Go on').click()
  await page.getByRole('button', { name: `Actions for ${client}` }).waitFor({ state: 'detached' })
  if (before < 1) faults.push('no connection could be ended')
  await page.getByRole('link', { name: 'Test a packet' }).click()
  await dialog().getByRole('textbox', { name: 'From' }).fill('198.18.1.2')
  await dialog().getByRole('combobox', { name: 'To' }).fill(virtualIp)
  await dialog().getByRole('button', { name: 'Test', exact: true }).click()
  await dialog().getByText('It travels on.').waitFor()
  await dialog().getByRole('link', { name: 'shop' }).first().waitFor()
  await picture('packet-tester')
  await page.keyboard.press('Escape')
  await dialog().waitFor({ state: 'detached' })
}

/** A certificate is uploaded, replaced, and used by a service that speaks HTTPS. */
async function certificates() {
  await visit('Certificates')
  await page.getByText('No certificate yet').waitFor()
  await picture('certificates-empty')
  await page.keyboard.press('n')
  const first = selfSigned('shop.example', 12)
  await dialog().getByRole('textbox', { name: 'Name' }).fill('the shop')
  await dialog().getByRole('textbox', { name: 'Certificate and chain' }).fill(first.chain)
  await dialog().getByRole('textbox', { name: 'Private key' }).fill('no key')
  await once('certificate-create', () => dialog().getByRole('textbox').first().waitFor())
  await button('Create').click()
  await dialog().getByText('This value cannot be taken').waitFor()
  await dialog().getByRole('textbox', { name: 'Private key' }).fill(first.key)
  await button('Create').click()
  await page.getByText('the shop is created').waitFor()
  await page.getByText(/^1[12] days left/).waitFor()
  await once('certificates', row)
  // Another certificate takes its place; whoever uses it need not be told.
  const second = selfSigned('www.shop.example', 90)
  await page.locator('.list tbody tr').first().click()
  await dialog().getByRole('textbox', { name: 'Certificate and chain' }).fill(second.chain)
  await dialog().getByRole('textbox', { name: 'Private key' }).fill(second.key)
  await dialog().getByRole('button', { name: 'Save' }).click()
  await page.locator('.list').getByText('www.shop.example').first().waitFor()
  await page.getByText(/^(89|90) days left/).waitFor()
  // HTTPS on the address that is there, by the pool that is there.
  await visit('Virtual services')
  await page.keyboard.press('n')
  await dialog().getByRole('textbox', { name: 'Name' }).fill('tills')
  await dialog().getByRole('combobox', { name: 'Type' }).click()
  await page.getByRole('option', { name: 'HTTPS' }).click()
  await dialog().getByRole('combobox', { name: 'Virtual IP address' }).fill(virtualIp)
  await dialog().getByRole('textbox', { name: 'Port' }).fill('443')
  await dialog().getByText('One that is there').click()
  await dialog().getByRole('combobox', { name: 'Choose certificates' }).click()
  await page.getByRole('option').first().click()
  await page.keyboard.press('Escape')
  await dialog().getByText('Existing pool').click()
  await dialog().getByRole('combobox', { name: 'Choose a pool' }).click()
  await page.getByRole('option', { name: 'shop' }).click()
  await picture('create-https')
  await button('Create').click()
  await dialog().getByText('Resource map').waitFor()
  await dialog().getByText('L7 · HTTPS').waitFor()
  await page.keyboard.press('Escape')
}

/** Requests are told apart, and some are refused; a change of one number leaves the rest. */
async function policies() {
  await visit('L7 rules')
  await page.getByText('No rule yet').waitFor()
  await picture('policies-empty')
  await page.keyboard.press('n')
  await dialog().getByRole('textbox', { name: 'Name', exact: true }).fill('no admin')
  await dialog().getByRole('combobox', { name: 'Virtual service' }).click()
  await page.getByRole('option', { name: 'tills' }).click()
  await button('Conditions: one more').click()
  await dialog().getByLabel('With what').fill('/admin')
  await page.keyboard.press('Enter')
  await dialog().getByRole('combobox', { name: 'Then' }).click()
  await page.getByRole('option', { name: 'Refuse' }).click()
  await dialog().getByRole('textbox', { name: 'Code' }).fill('404')
  await picture('policy-create')
  await button('Create').click()
  await page.getByText('no admin is created').waitFor()
  await once('policies', row)
  const read = async () => (await named('policies', 'no admin')) ?? {}
  const { rules, reject, pools, redirect } = await read()
  const made = JSON.stringify([rules?.[0]?.compare, rules?.[0]?.values, reject, pools, redirect])
  if (made !== '["prefix",["/admin"],{"code":404},[],null]') faults.push(`the rule is ${made}`)
  await page.locator('.list tbody tr').first().click()
  await dialog().getByRole('textbox', { name: 'Code' }).fill('410')
  await dialog().getByRole('button', { name: 'Save' }).click()
  await page.getByText('no admin is saved').waitFor()
  const changed = await read()
  const now = JSON.stringify([changed.reject, changed.redirect, changed.respond, changed.rules?.length])
  if (now !== '[{"code":410},null,null,1]') faults.push(`the changed rule is ${now}`)
}

/** What would become of a request is said before anybody sends it: by which rule, and who would get it. */
async function requestTester() {
  await visit('L7 rules')
  await page.getByRole('link', { name: 'Test a request' }).click()
  const ask = async (path) => {
    await dialog().getByRole('textbox', { name: 'Path' }).fill(path)
    await dialog().getByRole('button', { name: 'Test', exact: true }).click()
  }
  await ask('/admin/users?of=all')
  await dialog().getByText('The appliance answers itself').waitFor()
  await dialog().getByText('410', { exact: true }).waitFor()
  await dialog().getByText('Fits', { exact: true }).waitFor()
  await picture('tester-answer')
  await ask('/cart?item=7')
  await dialog().getByText('Does not fit').waitFor()
  await dialog().getByText('path ^ /admin').waitFor()
  await dialog().getByText('The member sees /cart?item=7').waitFor()
  await dialog().getByRole('link', { name: 'shop' }).waitFor()
  await everySize('tester', () => page.getByRole('dialog').first().waitFor())
  await page.keyboard.press('Escape')
  await dialog().waitFor({ state: 'detached' })
}

/** What was asked at layer 7, by whom it was answered, and why it was not. */
async function requests() {
  await wish('requests')
  await visit('Requests')
  const refused = page.locator('.list tbody tr', { hasText: '/admin' }).first()
  await refused.getByText('Rejected by a rule').waitFor()
  await page.locator('.list tbody tr', { hasText: '200' }).first().waitFor()
  await button('Hold still').click()
  await picture('requests')
  await refused.locator('td').first().click()
  await dialog().getByText('no admin').waitFor()
  await dialog().getByText('A policy refused the request', { exact: false }).waitFor()
  await picture('request')
  await page.keyboard.press('Escape')
  await dialog().waitFor({ state: 'detached' })
  await page.locator('.list tbody tr', { hasText: '200' }).first().locator('td').first().click()
  await dialog().getByText('Member’s answer').waitFor()
  await dialog()
    .getByText(`${members.split(',')[0].split(':')[0].split('.').slice(0, 3).join('.')}.`, { exact: false })
    .first()
    .waitFor()
  await page.keyboard.press('Escape')
  await dialog().waitFor({ state: 'detached' })
  await page.getByRole('combobox', { name: 'Status' }).click()
  await page.getByRole('option', { name: '2xx' }).click()
  await refused.waitFor({ state: 'detached' })
}

/** Objects that may be missing come and go as one: what a pool can do beyond the usual. */
async function everyField() {
  await page.goto(`${address}/pools?create=true`)
  await dialog().getByRole('textbox', { name: 'Name' }).fill('thorough')
  await dialog().getByText('More settings').click()
  await dialog().getByRole('combobox', { name: 'Persistence' }).click()
  await page.getByRole('option', { name: 'A header' }).click()
  await dialog().getByRole('textbox', { name: 'Cookie or header' }).fill('x-user')
  await dialog().getByRole('combobox', { name: 'Codes that are asked again' }).fill('503')
  await page.keyboard.press('Enter')
  await dialog().getByRole('textbox', { name: 'Drain timeout' }).fill('30')
  await dialog().getByRole('switch', { name: 'Leave out members that fail' }).check({ force: true })
  await dialog().getByRole('textbox', { name: 'After failures in a row' }).fill('7')
  await picture('pool-every-field')
  await button('Create').click()
  await page.getByText('thorough is created').waitFor()
  const written = async () => {
    const { persistence, retries, outlier, drain_timeout_s } = await named('pools', 'thorough')
    return JSON.stringify([persistence?.kind, persistence?.name, retries.codes, outlier?.consecutive, drain_timeout_s])
  }
  const first = await written()
  if (first !== '["header","x-user",[503],7,30]') faults.push(`the thorough pool is ${first}`)
  await dialog().getByText('This pool has no members').waitFor()
  await page.keyboard.press('e')
  const form = page.getByRole('dialog', { name: /^Edit / })
  await form.getByText('More settings').click()
  await form.getByRole('switch', { name: 'Leave out members that fail' }).uncheck({ force: true })
  await form.getByRole('combobox', { name: 'Persistence' }).click()
  await page.getByRole('option', { name: 'Client address' }).click()
  await form.getByRole('button', { name: 'Save' }).click()
  await page.getByText('thorough is saved').waitFor()
  const second = await written()
  if (second !== '["source",null,[503],null,30]') faults.push(`the changed pool is ${second}`)
  await page.keyboard.press('Escape')
  // Full NAT needs addresses of its own.
  await page.goto(`${address}/virtual-services?create=true`)
  await dialog().getByRole('textbox', { name: 'Name' }).fill('behind')
  await dialog().getByRole('combobox', { name: 'Type' }).click()
  await page.getByRole('option', { name: 'TCP · full NAT' }).click()
  await dialog().getByRole('combobox', { name: 'Virtual IP address' }).fill(virtualIp)
  await dialog().getByRole('textbox', { name: 'Port' }).fill('8080')
  await dialog().getByText('Existing pool').click()
  await dialog().getByRole('combobox', { name: 'Choose a pool' }).click()
  await page.getByRole('option', { name: 'thorough' }).click()
  await button('Create').click()
  await dialog().getByText('Needed').waitFor()
  await dialog().getByRole('combobox', { name: 'Local addresses' }).fill('198.18.2.200')
  await page.keyboard.press('Enter')
  await dialog().getByText('More settings').click()
  await dialog().getByText('That it is refused').click()
  await dialog().getByRole('combobox', { name: 'Not these networks' }).fill('203.0.113.0/24')
  await page.keyboard.press('Enter')
  await button('Create').click()
  await dialog().getByText('Resource map').waitFor()
  const { forwarding, local_addresses, unserved, denied_cidrs } = await named('virtual-services', 'behind')
  const made = JSON.stringify([forwarding, local_addresses, unserved, denied_cidrs])
  if (made !== '["full_nat",["198.18.2.200"],"reset",["203.0.113.0/24"]]') faults.push(`full NAT is ${made}`)
  await page.keyboard.press('Escape')
  await visit('Access and limits')
  await page.getByRole('link', { name: 'behind' }).waitFor()
  await page.getByText('203.0.113.0/24').waitFor()
  await picture('access-lists')
}

/** A certificate that vouches for itself. */
function selfSigned(name, days) {
  const options = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', String(days)]
  const names = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`]
  const made = execFileSync('openssl', ['req', '-x509', ...options, ...names, '-keyout', '-'], {
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const part = (kind) => made.toString().match(new RegExp(`-----BEGIN ${kind}-----[^]*?-----END ${kind}-----`))[0]
  return { key: part('PRIVATE KEY'), chain: part('CERTIFICATE') }
}

/** Where the traffic goes, and what it goes through. */
async function observe() {
  await visit('Metrics')
  await page.waitForFunction(() => document.querySelectorAll('.chart canvas').length >= 6)
  await once('charts', () => page.waitForFunction(() => document.querySelectorAll('.chart canvas').length >= 4))
  await visit('Data plane')
  const known = () => page.locator('.rows li').nth(2).waitFor()
  await once('network', known)
  await visit('Appliance')
  await once('system', known)
  // What cannot be undone is asked for by its name.
  await button('Forget everything').click()
  await picture('factory-reset')
  if (await dialog().getByRole('button', { name: 'Forget everything' }).isEnabled())
    faults.push('a reset needs no word')
  await page.keyboard.press('Escape')
  await dialog().waitFor({ state: 'detached' })
}

/** A token is shown once, works, and is revoked. */
async function tokens() {
  await page.goto(`${address}/profile`)
  await button('New token').click()
  await dialog().getByRole('textbox', { name: 'Name' }).fill('backup job')
  await picture('token-create')
  await button('Create').click()
  const token = await dialog().locator('pre').textContent()
  await picture('token')
  await button('Done').click()
  const ask = () =>
    page.evaluate(async (token) => {
      const headers = { Authorization: `Bearer ${token}` }
      return (await fetch('/api/v1/pools', { headers, credentials: 'omit' })).status
    }, token)
  const works = await ask()
  if (works !== 200) faults.push(`the token got ${works}`)
  await button('Revoke').click()
  await page.getByText('backup job does not work any more').waitFor()
  const revoked = await ask()
  if (revoked !== 401) faults.push(`a revoked token got ${revoked}`)
}

/** What a device shows that has this secret, so many steps from now (RFC 6238). */
function codeOf(secret, steps = 0) {
  const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
  const bits = [...secret].map((letter) => letters.indexOf(letter).toString(2).padStart(5, '0')).join('')
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)))
  const step = Buffer.alloc(8)
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps))
  const tag = createHmac('sha1', key).update(step).digest()
  const number = tag.readUInt32BE(tag[19] & 15) & 0x7fffffff
  return String(number % 1_000_000).padStart(6, '0')
}

/** What a camera reads from a picture on the screen. */
async function scanned(picture) {
  const shot = (await picture.screenshot()).toString('base64')
  const { width, height, data } = await page.evaluate(async (shot) => {
    const image = Object.assign(new Image(), { src: `data:image/png;base64,${shot}` })
    await image.decode()
    const canvas = Object.assign(document.createElement('canvas'), { width: image.width, height: image.height })
    const brush = canvas.getContext('2d')
    brush.drawImage(image, 0, 0)
    const { data } = brush.getImageData(0, 0, image.width, image.height)
    return { width: image.width, height: image.height, data: [...data] }
  }, shot)
  return decodeQR({ width, height, data: Uint8Array.from(data) })
}

/** A device's code is asked for beside the password; who loses the device has other codes; and without it again. */
async function secondFactor() {
  await page.goto(`${address}/profile`)
  await button('Set up').click()
  await dialog().getByRole('textbox', { name: 'Present password' }).fill('something else')
  await button('Next').click()
  await dialog().getByText('Name, password or code are wrong').waitFor()
  await dialog().getByRole('textbox', { name: 'Present password' }).fill(PASSWORD)
  await button('Next').click()
  const drawn = dialog().getByRole('img', { name: 'The secret as a QR code' })
  await drawn.waitFor()
  await picture('second-factor-begin')
  const secret = (await dialog().locator('.device-secret').textContent()).replaceAll(' ', '')
  const read = await scanned(drawn)
  if (!read.startsWith('otpauth://totp/Penstock:admin?') || !read.includes(`secret=${secret}&`))
    faults.push(`the QR code says ${read}`)
  await dialog().getByRole('textbox', { name: 'Code' }).fill('000000')
  await button('Confirm').click()
  await dialog().getByText('Name, password or code are wrong').waitFor()
  await dialog().getByRole('textbox', { name: 'Code' }).fill(codeOf(secret))
  await page.keyboard.press('Enter')
  await button('Done').waitFor()
  const codes = (await dialog().locator('pre').textContent()).split('\n')
  if (codes.length !== 10) faults.push(`there are ${codes.length} recovery codes`)
  await picture('second-factor-codes')
  await button('Done').click()
  await page.getByText('10 recovery codes are left').waitFor()
  await picture('second-factor')
  await signOut()
  await enter('admin', PASSWORD)
  const code = page.getByRole('textbox', { name: 'Code' })
  await code.fill('000000')
  await page.keyboard.press('Enter')
  await page.getByText('Name, password or code are wrong').waitFor()
  await picture('sign-in-code')
  // That of now was used to confirm, and each is good once.
  await code.fill(codeOf(secret, 1))
  await page.keyboard.press('Enter')
  await page.getByRole('navigation').waitFor()
  await signOut()
  await enter('admin', PASSWORD)
  await code.fill(codes[3])
  await page.keyboard.press('Enter')
  await page.getByRole('navigation').waitFor()
  await page.goto(`${address}/profile`)
  await page.getByText('9 recovery codes are left').waitFor()
  await button('Do without').click()
  await dialog().getByRole('textbox', { name: 'Present password' }).fill(PASSWORD)
  await dialog().getByRole('button', { name: 'Do without' }).click()
  await page.getByText('Your password alone lets you in').waitFor()
  await signOut()
  await signIn('admin', PASSWORD)
}

/** Another operator is faster: nothing is lost of what either wrote. */
async function editConflict() {
  await page.goto(`${address}/pools`)
  await page.getByRole('link', { name: 'spare' }).click()
  await dialog().getByText('This pool has no members').waitFor()
  await page.keyboard.press('e')
  const form = page.getByRole('dialog', { name: /^Edit / })
  await form.getByRole('textbox', { name: 'Name' }).fill('mine')
  await form.getByText('More settings').click()
  await form.getByRole('textbox', { name: 'Description' }).fill('Both wrote this')
  const { id } = await named('pools', 'spare')
  const other = await browser.newContext({ ignoreHTTPSErrors: true, viewport: WIDE, locale: 'en-US' })
  const theirs = await equip(await other.newPage(), address, faults)
  await theirs.goto(`${address}/pools/${id}`)
  await signIn('admin', PASSWORD, theirs)
  await theirs.getByText('This pool has no members').waitFor()
  await theirs.keyboard.press('e')
  const edit = theirs.getByRole('dialog', { name: /^Edit / })
  await edit.getByRole('textbox', { name: 'Name' }).fill('theirs')
  await edit.getByText('More settings').click()
  await edit.getByRole('combobox', { name: 'Tags' }).fill('theirs')
  await theirs.keyboard.press('Enter')
  await edit.getByRole('button', { name: 'Save' }).click()
  await theirs.getByText('theirs is saved').waitFor()
  await other.close()
  await form.getByRole('button', { name: 'Save' }).click()
  await form.getByText('Somebody else changed the same fields').waitFor()
  await picture('conflict')
  await form.getByText('Keep theirs').click()
  await form.getByRole('button', { name: 'Save this' }).click()
  await page.getByText('theirs is saved').waitFor()
  const { body } = await call('GET', `pools/${id}`)
  const merged = `${body.name} ${body.tags} ${body.description}`
  if (merged !== 'theirs theirs Both wrote this') faults.push(`the merge is ${merged}`)
  await page.keyboard.press('Escape')
}

/** Edits are collected, looked at together, applied on trial, and kept or taken back. */
async function pendingChanges() {
  const trial = page.getByText(/^Version \d+ is on trial/)
  await visit('Pools')
  await page.getByRole('link', { name: 'theirs' }).click()
  await dialog().getByText('This pool has no members').waitFor()
  await page.keyboard.press('e')
  const form = page.getByRole('dialog', { name: /^Edit / })
  await form.getByText('More settings').click()
  await form.getByRole('textbox', { name: 'Description' }).fill('Waits')
  await form.getByRole('button', { name: 'Add to pending changes' }).click()
  await form.waitFor({ state: 'detached' })
  await page.keyboard.press('Escape')
  await page.keyboard.press('n')
  await dialog().getByRole('textbox', { name: 'Name' }).fill('later')
  await dialog().getByRole('button', { name: 'Add to pending changes' }).click()
  await page.getByRole('link', { name: '2 pending changes' }).click()
  const changes = () => page.locator('.change').nth(1).waitFor()
  await everySize('pending', changes)
  await page.getByRole('textbox', { name: 'Comment' }).fill('Together')
  await button('Apply 2 changes').click()
  await trial.waitFor()
  await page.getByText('Nothing is waiting').waitFor()
  await everySize('on-trial', () => page.locator('.banner').waitFor())
  await button('Keep it').click()
  await trial.waitFor({ state: 'detached' })
  if ((await named('pools', 'later')) === undefined) faults.push('what was collected is not there')
  // Another operator tries something and does not come back: everybody sees it, and it takes itself back.
  const { id } = await named('pools', 'later')
  const tried = await call('PATCH', `pools/${id}?confirm_within=5`, { description: 'a risk' }, '*')
  if (tried.status !== 200) faults.push(`a trial got ${tried.status}`)
  await trial.waitFor()
  await trial.waitFor({ state: 'detached' })
  const { body } = await call('GET', `pools/${id}`)
  if (body.description !== '') faults.push(`nobody kept it, and it is ${body.description}`)
}

/** The whole configuration goes out and comes back, changed: first only what it would mean. */
async function exportAndImport() {
  await visit('Export and import')
  const file = page.waitForEvent('download')
  await button('Download').click()
  const text = await readFile(await (await file).path(), 'utf8')
  if (!text.includes('name: later')) faults.push('the export lacks a pool')
  await page.getByRole('textbox', { name: 'Document' }).fill(text.replace('name: later', 'name: sooner'))
  await button('Show what would change').click()
  await everyWay('configuration', () => page.locator('.change').first().waitFor())
  await page.getByRole('switch', { name: /^Take it back/ }).uncheck({ force: true })
  await page.getByRole('button', { name: /^Apply \d+ change/ }).click()
  await page.getByText(/^Version \d+ is applied/).waitFor()
  if ((await named('pools', 'sooner')) === undefined) faults.push('the import changed nothing')
  // And back again, as another version.
  await visit('Versions')
  await page.locator('.list tbody tr').nth(1).click()
  await button('Go back to this version').click()
  const back = page.getByRole('dialog', { name: /^Go back to version/ })
  await back.locator('.change').first().waitFor()
  await picture('rollback')
  await back.getByRole('button', { name: /^Apply \d+ change/ }).click()
  await back.waitFor({ state: 'detached' })
  await page.keyboard.press('Escape')
  await button('Keep it').click()
  if ((await named('pools', 'later')) === undefined) faults.push('the rollback brought nothing back')
}

/** All of it is sealed in a file, spoiled, and brought back. */
async function backups() {
  const passphrase = 'weir and sluice'
  await visit('Backups')
  await page.getByText('There is no backup yet').waitFor()
  await button('Take a backup').click()
  const order = page.getByRole('dialog', { name: 'Take a backup' })
  await order.getByLabel('Passphrase').fill(passphrase)
  await order.getByLabel('The same again').fill(passphrase)
  await picture('backup-take')
  await order.getByRole('button', { name: 'Take a backup' }).click()
  await order.waitFor({ state: 'detached' })
  const file = page.waitForEvent('download')
  await page.getByRole('button', { name: /^Download: / }).click()
  const sealed = await readFile(await (await file).path())
  if (sealed.length < 1000 || sealed.includes('shop')) faults.push(`a backup of ${sealed.length} bytes can be read`)
  const { id } = await named('pools', 'later')
  await call('PATCH', `pools/${id}`, { description: 'spoiled' }, '*')
  await page.getByRole('button', { name: /^Restore: / }).click()
  const back = page.getByRole('dialog', { name: /^Restore what was there/ })
  await back.getByLabel('Passphrase').fill('of another one')
  await back.getByRole('button', { name: 'Show what would change' }).click()
  await back.getByRole('alert').waitFor()
  await back.getByLabel('Passphrase').fill(passphrase)
  await back.getByRole('button', { name: 'Show what would change' }).click()
  await back.locator('.change').first().waitFor()
  await picture('backup-restore')
  await back.getByRole('button', { name: /^Apply \d+ change/ }).click()
  await back.waitFor({ state: 'detached' })
  await button('Keep it').click()
  const { body } = await call('GET', `pools/${id}`)
  if (body.description !== '') faults.push(`restored, it is ${body.description}`)
  await page.getByRole('button', { name: /^Delete: / }).click()
  await dialog().getByRole('button', { name: 'Delete it' }).click()
  await page.getByText('There is no backup yet').waitFor()
}

/** Who is told of events, and that it does not work; who has how much to themselves. */
async function webhooksAndProjects() {
  await visit('Webhooks')
  await page.getByText('Nobody is told yet').waitFor()
  await page.keyboard.press('n')
  await dialog().getByRole('textbox', { name: 'Name', exact: true }).fill('pager')
  await dialog().getByRole('textbox', { name: 'Address' }).fill('http://203.0.113.9:9/told')
  await dialog().getByLabel('Events').first().fill('webhook.*')
  await page.keyboard.press('Enter')
  await button('Create').click()
  await page.getByText('pager is created').waitFor()
  await button('Actions for pager').click()
  await page.getByRole('menuitem', { name: 'Send a test message' }).click()
  await page.getByText('pager did not take the message: ', { exact: false }).waitFor()
  await picture('webhooks')
  await visit('Projects')
  await page.locator('.list').getByText('default', { exact: true }).waitFor()
  await page.keyboard.press('n')
  await dialog().getByRole('textbox', { name: 'Name', exact: true }).fill('tenants')
  await dialog().getByRole('textbox', { name: 'Pools' }).fill('3')
  await button('Create').click()
  await page.locator('.list').getByText('Pools 3').waitFor()
  await picture('projects')
  const { id, quotas } = (await named('projects', 'tenants')) ?? {}
  if (quotas?.pools !== 3 || quotas.members !== null) faults.push(`the quotas are ${JSON.stringify(quotas)}`)
  const told = await named('webhooks', 'pager')
  await call('DELETE', `webhooks/${told?.id}`, undefined, '*')
  await call('DELETE', `projects/${id}`, undefined, '*')
  if ((await named('webhooks', 'pager')) !== undefined) faults.push('the webhook stays')
}

/** A list of more than one page is searched by the appliance. */
async function longList() {
  const operations = Array.from({ length: 520 }, (_, n) => ({
    action: 'create',
    resource: 'pools',
    document: { name: `many-${String(n).padStart(3, '0')}` },
  }))
  const { body } = await call('POST', 'changesets', { name: 'many', operations })
  const applied = await call('POST', `changesets/${body.id}/apply`, null, '*')
  await visit('Pools')
  await page.getByRole('link', { name: 'many-000' }).waitFor()
  await page.getByRole('searchbox').fill('any-519')
  await page.getByRole('link', { name: 'many-519' }).waitFor()
  await page.getByRole('link', { name: 'many-000' }).waitFor({ state: 'detached' })
  await picture('pools-many')
  await page.getByRole('searchbox').fill('')
  await call('POST', `revisions/${applied.body.generation}/revert`)
}

/** Whatever somebody writes is shown as text, in its place. */
async function hostileContent() {
  const script = '<img src=x onerror=alert(1)><script>alert(1)</script>'
  const bidi = '\u202Eecivres\u202C'
  const long = 'x'.repeat(200)
  const tags = [script, bidi, '🦀🚰', long.slice(0, 60)]
  const address = (n) => `198.18.1.${n}`
  for (const [index, name] of [script, bidi, long, '🚰 闸流 '.repeat(20)].entries()) {
    const vip = await call('POST', 'virtual-ips', { name, address: address(200 + index), tags, description: script })
    const pool = await call('POST', 'pools', { name, tags, description: `${long} ${bidi}` })
    await call('POST', `pools/${pool.body.id}/members`, { name, address: address(10), port: 80 })
    const service = { name, virtual_ip_ids: [vip.body?.id], protocol: 'tcp', forwarding: 'nat', port: 80, tags }
    const made = await call('POST', 'virtual-services', { ...service, default_pool_id: pool.body?.id })
    if (made.status !== 201) faults.push(`hostile content: ${made.status} ${JSON.stringify(made.body)}`)
  }
  for (const place of ['Virtual services', 'Pools', 'Virtual IPs']) {
    await visit(place)
    await page.getByRole('link', { name: long }).waitFor()
    await once(`hostile-${place.toLowerCase().replace(' ', '-')}`, row)
    await page.getByRole('link', { name: '<img' }).click()
    await dialog().getByText('<img').first().waitFor()
    await once(`hostile-${place.toLowerCase().replace(' ', '-')}-detail`, () => dialog().first().waitFor())
    await page.keyboard.press('Escape')
    await dialog().waitFor({ state: 'detached' })
  }
}

/** Whatever somebody writes is shown as text, in its place: names, descriptions, tags and comments of every kind of resource. */
async function hostileEverywhere() {
  const script = '<img src=x onerror=alert(1)><script>alert(1)</script>'
  const bidi = '\u202Eecivres\u202C'
  // Neither what it begins nor what it ends is its own.
  const unbalanced = '\u2069\u202Eecivres \u2067'
  const long = 'x'.repeat(200)
  const words = '🚰 闸流 '.repeat(20)
  // The most that there can be: four kilobytes of tags.
  const tags = [script, bidi, unbalanced, '🦀🚰', ...Array.from({ length: 60 }, (_, n) => `${'x'.repeat(58)}${n}`)]
  const description = `${script} ${bidi} ${unbalanced} `.padEnd(1024, 'x')
  const address = (n) => `198.18.1.${n}`
  const make = async (path, document) => {
    const made = await call('POST', path, { tags, description, ...document })
    if (made.status !== 201) faults.push(`hostile content: ${path} ${made.status} ${JSON.stringify(made.body)}`)
    return made.body ?? {}
  }
  for (const [index, name] of [script, bidi, unbalanced, long, words].entries()) {
    const vip = await make('virtual-ips', { name, address: address(200 + index) })
    const monitor = await make('monitors', { name, kind: 'tcp', enabled: false })
    const pool = await make('pools', { name, monitor_ids: [monitor.id] })
    await make(`pools/${pool.id}/members`, { name, address: address(10), port: 80 })
    const service = { name, virtual_ip_ids: [vip.id], default_pool_id: pool.id }
    await make('virtual-services', { ...service, protocol: 'tcp', forwarding: 'nat', port: 80 })
    // One that needs attention, and one with rules.
    await make('virtual-services', { ...service, name: `${name}.`, default_pool_id: null, protocol: 'tcp', port: 81 })
    const web = await make('virtual-services', { ...service, name: `${name}:`, protocol: 'http', port: 82 })
    const rules = [{ kind: 'header', key: 'x-user', compare: 'exact', values: [script, bidi, words] }]
    await make('policies', { name, virtual_service_id: web.id, rules, reject: { code: 403 } })
    const { chain, key } = selfSigned(`n${index}.example`, 5)
    await make('certificates', { name, chain, private_key: key })
    await make('changesets', {
      name,
      operations: [{ action: 'create', resource: 'pools', document: { name: `${name}!` } }],
    })
    await call('PATCH', `pools/${pool.id}?comment=${encodeURIComponent(description)}`, { drain_timeout_s: 5 }, '*')
  }
  for (const place of ['Virtual services', 'Pools', 'Virtual IPs']) {
    await visit(place)
    await page.getByRole('link', { name: long }).first().waitFor()
    await once(`hostile-${place.toLowerCase().replace(' ', '-')}`, row)
    await page.getByRole('link', { name: '<img' }).first().click()
    await dialog().getByText('<img').first().waitFor()
    await once(`hostile-${place.toLowerCase().replace(' ', '-')}-detail`, () => dialog().first().waitFor())
    await page.keyboard.press('Escape')
    await dialog().waitFor({ state: 'detached' })
  }
  for (const place of ['L7 rules', 'Health checks', 'Certificates', 'Events', 'Versions', 'Audit log', 'Topology']) {
    await visit(place)
    // Long lists have those rows in the page that are seen.
    if (['Events', 'Audit log'].includes(place)) await page.getByRole('searchbox').fill('<img')
    await page.getByText('<img').first().waitFor()
    await once(`hostile-${place.toLowerCase().replace(' ', '-')}`, async () => {})
  }
  await visit('Dashboard')
  await page.locator('.attention').getByText('<img').first().waitFor()
  await once('hostile-dashboard', async () => {})
  // In questions and messages as well.
  await visit('Health checks')
  for (const name of [script, unbalanced, long]) {
    const { id } = await named('monitors', name)
    await call('PATCH', `pools/${(await named('pools', name)).id}`, { monitor_ids: [] }, '*')
    await page
      .locator(`tr[data-id="${id}"]`)
      .getByRole('button', { name: /^Actions for/ })
      .click()
    await page.getByRole('menuitem', { name: 'Delete' }).click()
    await button('Delete it').waitFor()
    await picture('hostile-question')
    await button('Delete it').click()
    await page.locator(`tr[data-id="${id}"]`).waitFor({ state: 'detached' })
  }
  await page.locator('.toast').getByText('<img').waitFor()
  await picture('hostile-messages')
}

async function findAnything() {
  await page.keyboard.press('Control+k')
  await page.getByRole('combobox').fill('shop')
  await page.getByRole('option', { name: /^shop.*Virtual service/ }).waitFor()
  await picture('palette')
  await page.getByRole('combobox').fill('shop :80')
  await page.keyboard.press('Enter')
  await dialog().getByText('Resource map').waitFor()
  await page.keyboard.press('Escape')
  await dialog().waitFor({ state: 'detached' })
  await page.keyboard.press('?')
  await dialog().getByText('Next row').waitFor()
  await picture('keys')
  await page.keyboard.press('Escape')
}

/** What happened is written down, and each change can be looked at. */
async function history() {
  await visit('Events')
  await once('events', row)
  await visit('Versions')
  await once('revisions', row)
  await page.locator('.list tbody tr').first().click()
  await once('revision', () => dialog().locator('.change').first().waitFor())
  await page.keyboard.press('Escape')
  await visit('Audit log')
  await once('audit', row)
  await button('Verify the chain').click()
  await page.getByText('The chain is intact').waitFor()
}

/** A viewer sees everything and changes nothing. */
async function viewer() {
  await visit('Users')
  await button('New user').click()
  await dialog().getByRole('textbox', { name: 'Name' }).fill('vera')
  await dialog().getByText('Viewer', { exact: true }).click()
  await dialog().getByRole('textbox', { name: 'Password' }).fill('spillway opens at noon')
  await picture('user-create')
  await button('Create').click()
  await page.getByText('vera is created').waitFor()
  await once('users', row)
  await page.goto(`${address}/profile`)
  await once('profile', () => page.locator('.rows li').first().waitFor())
  await signOut()
  await signIn('vera', 'spillway opens at noon')
  await visit('Pools')
  await row()
  if (await button('New pool').isEnabled()) faults.push('a viewer is offered to create a pool')
  if (await page.getByRole('link', { name: 'Users' }).isVisible()) faults.push('a viewer is led to the users')
  await picture('viewer')
  await signOut()
  await signIn('admin', PASSWORD)
}

/** The session ends while somebody types; what was typed is sent after signing in. */
async function sessionEnds() {
  await visit('Pools')
  await row()
  await page.keyboard.press('n')
  await dialog().getByRole('textbox', { name: 'Name' }).fill('typed before')
  await context.clearCookies()
  await button('Create').click()
  const again = page.getByRole('dialog', { name: 'Sign in' })
  await again.getByText('Your session has ended').waitFor()
  await picture('session-ended')
  await again.getByRole('textbox', { name: 'Password' }).fill(PASSWORD)
  await page.keyboard.press('Enter')
  await again.waitFor({ state: 'detached' })
  await dialog().getByRole('textbox', { name: 'Name' }).waitFor()
  const kept = await dialog().getByRole('textbox', { name: 'Name' }).inputValue()
  if (kept !== 'typed before') faults.push(`after signing in the form has ${kept}`)
  await button('Create').click()
  // What was created opens.
  await button('Add members').waitFor()
  await page.keyboard.press('Escape')
  await dialog().waitFor({ state: 'detached' })
}

/** The appliance does not answer for a while: what was known stays, with its time, and goes on by itself. */
async function connectionLost() {
  await visit('Dashboard')
  await page.route('**/api/v1/**', (route) => route.abort())
  await page.getByText('The appliance does not answer').waitFor()
  await picture('connection-lost')
  await page.unroute('**/api/v1/**')
  await page.getByText('The appliance does not answer').waitFor({ state: 'detached' })
}

/** Only the stream of events is lost: that is said, values go on, and it comes back by itself. */
async function streamLost() {
  await page.route('**/api/v1/events/stream', (route) => route.abort())
  await page.goto(address)
  await page.getByText('The stream of events is interrupted').waitFor()
  await page.locator('.figure-value').first().waitFor()
  await picture('stream-lost')
  await page.unroute('**/api/v1/events/stream')
  await page.getByText('The stream of events is interrupted').waitFor({ state: 'detached' })
  // Loading the page anew is no interruption: nobody is alarmed by it.
  await page.addInitScript(() => {
    globalThis.alarms = []
    const look = () => {
      const banner = document.querySelector('.banner')?.textContent
      if (banner) globalThis.alarms.push(banner)
      requestAnimationFrame(look)
    }
    addEventListener('DOMContentLoaded', look)
  })
  for (let n = 0; n < 5; n += 1) {
    await page.reload()
    await page.locator('.figure-value').first().waitFor()
    await page.waitForTimeout(300)
    const [alarm] = await page.evaluate(() => globalThis.alarms)
    if (alarm !== undefined) faults.push(`after loading anew: ${alarm}`)
  }
}

/** On the way: look, drain, undo, on a phone; with the menu in its drawer. */
async function phone() {
  await page.setViewportSize(PHONE)
  await page.goto(address)
  await button('Open the menu').click()
  await dialog().getByRole('link', { name: 'Pools' }).click()
  await page.getByRole('heading', { name: 'Pools', level: 1 }).waitFor()
  await page.getByRole('link', { name: 'shop' }).click()
  await dialog()
    .getByRole('button', { name: /^Actions for/ })
    .first()
    .click()
  await page.getByRole('menuitem', { name: 'Drain' }).click()
  await dialog().locator('.list').getByText('Draining').first().waitFor()
  await picture('phone-drain')
  await takeBack(/draining/)
  await page.getByText('Undone').waitFor()
  await page.setViewportSize(WIDE)
}

/** Without a pointer: go, open, act, undo, edit, close. */
async function keyboardAlone() {
  const press = async (...keys) => {
    for (const key of keys) await page.keyboard.press(key)
  }
  /** Presses a key until what has the focus is called so. */
  const tabTo = async (name, key = 'Tab') => {
    for (let n = 0; n < 60; n += 1) {
      const found = await page.evaluate(() => {
        const { ariaLabel, textContent } = document.activeElement
        return ariaLabel ?? textContent
      })
      if (name.test(found)) return
      await page.keyboard.press(key)
    }
    throw new Error(`nothing called ${name} gets the focus`)
  }
  await page.goto(address)
  await page.getByRole('navigation').waitFor()
  await press('g', 'p')
  await page.getByRole('heading', { name: 'Pools', level: 1 }).waitFor()
  // Before the rows are there no key goes to them.
  await row()
  await press('/')
  await page.keyboard.type('shop')
  await page.locator('.list tbody tr').nth(1).waitFor({ state: 'detached' })
  await press('Escape', 'j', 'Enter')
  await dialog().locator('.list tbody tr').nth(1).waitFor()
  await tabTo(/^Actions for/)
  await press('Enter')
  await page.getByRole('menuitem', { name: 'Drain' }).waitFor()
  await tabTo(/^Drain$/, 'ArrowDown')
  await press('Enter')
  // The row says so before the message is there that can be undone.
  await page.locator('.toast').getByRole('button', { name: 'Undo' }).first().waitFor()
  await press('z')
  await page.getByText('Undone').waitFor()
  await press('e')
  const form = page.getByRole('dialog', { name: /^Edit / })
  await form.getByRole('textbox', { name: 'Name' }).waitFor()
  await tabTo(/^Cancel$/)
  await press('Enter')
  await form.waitFor({ state: 'detached' })
  await press('Escape')
  await dialog().waitFor({ state: 'detached' })
  // Back where it was opened: the next key goes on from there.
  await page.waitForFunction(() => document.activeElement?.tagName === 'TR')
}

/** The same in Chinese: a pool is made, changed and deleted. */
async function inChinese() {
  await page.goto(address)
  await button('切换到中文').click()
  await page.getByRole('heading', { name: '仪表盘' }).waitFor()
  await page.getByRole('navigation').getByRole('link', { name: '服务器池' }).click()
  await button('新建服务器池').click()
  await dialog().getByRole('textbox', { name: '名称' }).fill('闸流')
  await button('创建').click()
  await page.getByText('已创建').first().waitFor()
  await dialog().getByText('这个服务器池没有成员').waitFor()
  await picture('pool-in-chinese')
  await dialog().getByRole('button', { name: '删除', exact: true }).click()
  const asked = page.getByRole('dialog', { name: '删除 闸流？' })
  await asked.getByRole('button', { name: '删除', exact: true }).click()
  await page.getByText('闸流 已删除').waitFor()
  await page.waitForFunction(() => document.querySelector('[role=dialog]') === null)
  await button('Switch to English').click()
  await page.getByRole('heading', { name: 'Pools', level: 1 }).waitFor()
}

/** The machine's own settings belong to who installed it, here; and the reference knows every call. */
async function settingsAndReference() {
  await visit('Settings')
  await page.getByText('These settings are not ours here').waitFor()
  await visit('API reference')
  await page.getByRole('searchbox').fill('explain')
  await page.getByText('/api/v1/explain').first().click()
  await page.getByText('penstock create "explain"').waitFor()
  await picture('reference-call')
}

/** Every screen in several ways; while something waits, and while much is there. */
async function everyScreen() {
  const operations = [{ action: 'create', resource: 'pools', document: { name: 'waits' } }]
  await call('POST', 'changesets', { name: 'console: admin', operations })
  const only = process.env.PENSTOCK_SCREENS?.split(',')
  await matrix({ browser, context, address, gallery, faults, read: (path) => call('GET', path), full, only })
}

async function deleteService() {
  await visit('Virtual services')
  await page.getByRole('link', { name: 'shop' }).click()
  await dialog().getByRole('button', { name: 'Delete', exact: true }).click()
  const asked = page.getByRole('dialog', { name: 'Delete shop?' })
  const typed = asked.getByRole('textbox')
  if (await typed.isVisible()) await typed.fill('shop')
  await asked.getByRole('button', { name: 'Delete it' }).click()
  await page.getByText('shop is deleted').waitFor()
  await page.getByRole('link', { name: 'shop' }).waitFor({ state: 'detached' })
}

/** From the first screen to HTTPS with two members that answer, and then the same for a script. */
async function wizard() {
  const begun = Date.now()
  const { chain, key } = selfSigned('first.example', 30)
  await page.goto(`${address}/start`)
  await button('Go on').click()
  await page.getByRole('textbox', { name: 'Name' }).fill('first')
  await page.getByRole('combobox', { name: 'Virtual IP address' }).fill(virtualIp)
  await page.getByRole('textbox', { name: 'Port' }).fill('8443')
  await page.getByRole('textbox', { name: 'Certificate and chain' }).fill(chain)
  await page.getByRole('textbox', { name: 'Private key' }).fill(key)
  await page.getByRole('textbox', { name: 'Members' }).fill(members.split(',').join('\n'))
  // There is a check by now; otherwise one is made.
  const checks = page.getByRole('combobox', { name: 'Health checks' })
  if (await checks.isVisible()) {
    await checks.click()
    await page.getByRole('option', { name: 'home page' }).click()
    await page.keyboard.press('Escape')
  }
  await picture('start-service')
  await button('Create').click()
  await page.getByText('Try it:').waitFor()
  await page.locator('.note .tone-up, .note.up').first().waitFor()
  const seconds = (Date.now() - begun) / 1000
  console.error(`console: HTTPS with two members in ${seconds.toFixed(0)} s`)
  if (seconds > 180) faults.push(`the first service took ${seconds} s`)
  await page.getByText('CERTIFICATE=$(curl').waitFor()
  await picture('start-result')
  await page.getByText('penstock', { exact: true }).click()
  await page.getByText('CERTIFICATE=$(penstock').waitFor()
  await page.getByRole('link', { name: 'Look at the service' }).click()
  await dialog().getByText('L7 · HTTPS').waitFor()
  await page.keyboard.press('Escape')
}

async function signOut() {
  await button('Account').click()
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  await page.getByRole('heading', { name: 'Sign in' }).waitFor()
}

async function enter(name, password, on = page) {
  await on.getByLabel('Name').fill(name)
  await on.getByRole('textbox', { name: 'Password' }).fill(password)
  await on.keyboard.press('Enter')
}

async function signIn(name, password, on = page) {
  await enter(name, password, on)
  await on.getByRole('navigation').waitFor()
}

async function signOutAndIn() {
  await signOut()
  await everyWay('sign-in', () => page.locator('input[type=password]').waitFor())
  await signIn('admin', PASSWORD)
  const readable = await page.evaluate(() => document.cookie + Object.keys(localStorage).join(' '))
  if (/__Host-penstock|eyJ/.test(readable)) faults.push(`a script can read the token: ${readable}`)
}

const story = [
  claim,
  createService,
  seeTraffic,
  switchMembers,
  pools,
  virtualIps,
  healthChecks,
  memberDies,
  drainWithCountdown,
  connections,
  certificates,
  policies,
  requestTester,
  requests,
  everyField,
  observe,
  tokens,
  secondFactor,
  editConflict,
  pendingChanges,
  exportAndImport,
  backups,
  webhooksAndProjects,
  hostileContent,
  // Many screens: with the full matrix alone.
  ...(full ? [hostileEverywhere] : []),
  findAnything,
  history,
  viewer,
  sessionEnds,
  connectionLost,
  streamLost,
  phone,
  keyboardAlone,
  inChinese,
  settingsAndReference,
  deleteService,
  wizard,
  longList,
  everyScreen,
  signOutAndIn,
]
// Some parts alone, for who works on them: `PENSTOCK_STORY=claim,createService,pools`.
const wanted = process.env.PENSTOCK_STORY?.split(',')
for (const part of story.filter(({ name }) => wanted?.includes(name) ?? true)) {
  step(part.name)
  try {
    if (wanted !== undefined && part !== claim) {
      await page.goto(address)
      await page.getByRole('navigation').waitFor()
    }
    await part()
  } catch (error) {
    await page.screenshot({ path: join(gallery, `failed-${part.name}.png`) })
    faults.push(`${part.name}: ${error.stack}`)
    // Parts that are played alone do not need each other.
    if (wanted === undefined) break
  }
}
step('the end')
await browser.close()
for (const fault of faults) console.error(`console: ${fault}`)
// Standard input is still open: without this the process would wait for it.
process.exit(faults.length === 0 ? 0 : 1)
