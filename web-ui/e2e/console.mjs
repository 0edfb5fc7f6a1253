// The console in a real browser on a real appliance: claim it, create a service, see traffic appear, change it, meet another
// operator, lose the session and the connection, and come back.
//
//   node e2e/console.mjs <address> <claim code> <member,member> <virtual ip> <gallery>
//
// It prints `traffic please` when it wants connections through the virtual IP, and reads a line when they flow.
import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { openBrowser } from './harness.mjs'

const [address, code, members, virtualIp, gallery] = process.argv.slice(2)
const PASSWORD = 'sluice gate at dawn'
const { browser, context, page, faults, everyWay, everySize, picture } = await openBrowser(address, gallery)

const begun = Date.now()
const step = (text) => console.error(`console: [${((Date.now() - begun) / 1000).toFixed(0).padStart(4)} s] ${text}`)
const dialog = () => page.getByRole('dialog')
const button = (name) => page.getByRole('button', { name, exact: true })
const visit = async (place) => {
  await page.getByRole('navigation').getByRole('link', { name: place }).click()
  await page.getByRole('heading', { name: place, level: 1 }).waitFor()
}
/** A row of a list has come; in whatever language. */
const row = () => page.locator('.list tbody tr').first().waitFor()

/** A call of the API with the browser's own session, as another operator would make it. */
function call(method, path, body, etag) {
  return page.evaluate(
    async ([method, path, body, etag]) => {
      const headers = { 'X-Penstock-Console': '1', 'Content-Type': 'application/json' }
      if (etag) headers['If-Match'] = etag
      const answer = await fetch(`/api/v1/${path}`, { method, headers, body: body && JSON.stringify(body) })
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
  await everySize('start', () => page.locator('.rows li').first().waitFor())
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
  await everyWay('create', () =>
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
  console.log('traffic please')
  await new Promise((resolve) => process.stdin.once('data', resolve))
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
  await everySize('services', row)
  await page.getByRole('link', { name: 'shop' }).click()
  const bothMembers = () => dialog().locator('.list tbody tr').nth(1).waitFor()
  await everySize('service', bothMembers)
  const actions = () => dialog().getByRole('button', { name: /^Actions for/ })
  const table = dialog().locator('.list')
  await actions().first().click()
  await page.getByRole('menuitem', { name: 'Drain' }).click()
  await table.getByText('Draining').first().waitFor()
  await button('Undo').click()
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
  await everyWay('services-down', row)
}

async function pools() {
  await visit('Pools')
  await everySize('pools', row)
  await page.keyboard.press('j')
  await page.keyboard.press('Enter')
  await dialog().locator('.list tbody tr').nth(1).waitFor()
  await everySize('pool', () => dialog().locator('.list tbody tr').nth(1).waitFor())
  // Deleting a member can be undone.
  const actions = dialog().getByRole('button', { name: /^Actions for/ })
  await actions.first().click()
  await page.getByRole('menuitem', { name: 'Delete' }).click()
  await dialog().locator('.list tbody tr').nth(1).waitFor({ state: 'detached' })
  await button('Undo').click()
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
  await everySize('virtual-ips', row)
  await page.getByRole('link', { name: virtualIp }).click()
  await everyWay('virtual-ip', () => dialog().locator('.rows li').first().waitFor())
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
  await everySize('monitors', row)
  await visit('Pools')
  await page.locator('.list').getByText('Up').waitFor()
  await call('POST', `pools/${pool.id}/members`, { name: 'dead', address: '198.18.2.99', port: 80 })
  await page
    .locator('.toast')
    .getByText(/^member \S+ is down/)
    .waitFor()
  await page.locator('.list').getByText('Degraded').waitFor()
  await visit('Virtual services')
  await everyWay('services-degraded', row)
  await page.getByRole('link', { name: 'shop' }).click()
  await everySize('service-degraded', () => dialog().locator('.map .node-down').waitFor())
  await page.keyboard.press('Escape')
  await visit('Dashboard')
  await everyWay('dashboard-degraded', () => page.locator('.attention li').first().waitFor())
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
  await everyWay('certificate-create', () => dialog().getByRole('textbox').first().waitFor())
  if ((await dialog().getByRole('textbox', { name: 'Name' }).inputValue()) === '') {
    // The languages were switched by loading the page anew.
    await dialog().getByRole('textbox', { name: 'Name' }).fill('the shop')
    await dialog().getByRole('textbox', { name: 'Certificate and chain' }).fill(first.chain)
    await dialog().getByRole('textbox', { name: 'Private key' }).fill('no key')
  }
  await button('Create').click()
  await dialog().getByText('This value cannot be taken').waitFor()
  await dialog().getByRole('textbox', { name: 'Private key' }).fill(first.key)
  await button('Create').click()
  await page.getByText('the shop is created').waitFor()
  await page.getByText(/^1[12] days left/).waitFor()
  await everySize('certificates', row)
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
  await everySize('policies', row)
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
  await everySize('charts', () => page.waitForFunction(() => document.querySelectorAll('.chart canvas').length >= 4))
  await visit('Data plane')
  const known = () => page.locator('.rows li').nth(2).waitFor()
  await everySize('network', known)
  await visit('Appliance')
  await everySize('system', known)
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
  const { etag } = await call('GET', `pools/${id}`)
  const theirs = { name: 'theirs', tags: ['theirs'] }
  const changed = await call('PATCH', `pools/${id}`, theirs, etag)
  if (changed.status !== 200) faults.push(`the other operator got ${changed.status}`)
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
    await everySize(`hostile-${place.toLowerCase().replace(' ', '-')}`, row)
    await page.getByRole('link', { name: '<img' }).click()
    await dialog().getByText('<img').first().waitFor()
    await everySize(`hostile-${place.toLowerCase().replace(' ', '-')}-detail`, () => dialog().first().waitFor())
    await page.keyboard.press('Escape')
    await dialog().waitFor({ state: 'detached' })
  }
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
  await everySize('events', row)
  await visit('Versions')
  await everySize('revisions', row)
  await page.locator('.list tbody tr').first().click()
  await everyWay('revision', () => dialog().locator('.change').first().waitFor())
  await page.keyboard.press('Escape')
  await visit('Audit log')
  await everySize('audit', row)
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
  await everySize('users', row)
  await page.goto(`${address}/profile`)
  await everySize('profile', () => page.locator('.rows li').first().waitFor())
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

async function signIn(name, password) {
  await page.getByLabel('Name').fill(name)
  await page.getByRole('textbox', { name: 'Password' }).fill(password)
  await page.keyboard.press('Enter')
  await page.getByRole('navigation').waitFor()
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
  certificates,
  policies,
  observe,
  tokens,
  editConflict,
  pendingChanges,
  exportAndImport,
  hostileContent,
  findAnything,
  history,
  viewer,
  sessionEnds,
  connectionLost,
  deleteService,
  wizard,
  longList,
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
    await page.screenshot({ path: join(gallery, 'failed.png') })
    faults.push(`${part.name}: ${error.stack}`)
    break
  }
}
step('the end')
await browser.close()
for (const fault of faults) console.error(`console: ${fault}`)
// Standard input is still open: without this the process would wait for it.
process.exit(faults.length === 0 ? 0 : 1)
