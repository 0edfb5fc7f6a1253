// Every screen of the console, from its own list of routes: a new one cannot be forgotten. A route with a parameter must say here
// what it is a screen of, or there is no list.
import { readFile } from 'node:fs/promises'

const router = await readFile(new URL('../src/app/router.tsx', import.meta.url), 'utf8')
const lists = await readFile(new URL('../src/ui/list/ResourcePage.tsx', import.meta.url), 'utf8')

/** Where the first of what a parameter names is found. */
const NAMED = {
  $serviceId: 'virtual-services',
  $poolId: 'pools',
  $virtualIpId: 'virtual-ips',
  $generation: 'revisions',
}

/** The paths of all routes, with their parents'. */
function paths() {
  const routes = [
    ...router.matchAll(/const (\w+) = createRoute\(\{\s*getParentRoute: (?:\(\) => )?(\w+),\s*path: '([^']+)'/g),
  ]
  const count = router.match(/createRoute\(\{/g).length
  if (routes.length !== count) throw new Error(`${count} routes, of which ${routes.length} can be read`)
  const byName = new Map(routes.map(([, name, parent, path]) => [name, { parent, path }]))
  const full = ({ parent, path }) => (byName.has(parent) ? `${full(byName.get(parent))}/${path}` : path)
  return [...byName.values()].map(full)
}

/** Screens as they can be visited: `name` for pictures, `path` to go to. `read` asks the API. */
export async function screens(read) {
  const found = []
  for (const path of paths()) {
    let place = path
    for (const parameter of path.match(/\$\w+/g) ?? []) {
      const collection = NAMED[parameter]
      if (collection === undefined) throw new Error(`nobody says what ${parameter} of ${path} is`)
      const { body } = await read(`${collection}?limit=1${collection === 'revisions' ? '' : '&sort=name'}`)
      const [first] = body.items
      place = place.replace(parameter, first.id ?? first.generation)
    }
    found.push({ name: path === '/' ? 'dashboard' : path.slice(1).replaceAll('/', '-').replace('$', ''), path: place })
  }
  // Each list has the form of a new one.
  const [, union] = lists.match(/place: ((?:'[^']+'(?: \| )?)+)/)
  const forms = ['/virtual-services', ...[...union.matchAll(/'([^']+)'/g)].map(([, place]) => place)]
  return [...found, ...forms.map((place) => ({ name: `${place.slice(1)}-new`, path: `${place}?create=true` }))]
}
