// Writes the types of the API from its description; with --check says whether they are up to date.
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import openapiTS, { astToString } from 'openapi-typescript'

const here = dirname(fileURLToPath(import.meta.url))
const description = new URL('../../appliance/server/openapi.json', import.meta.url)
const types = join(here, '../src/api/generated/schema.d.ts')

const wanted =
  '// Made from appliance/server/openapi.json by `npm run api`.\n' +
  astToString(await openapiTS(description, { defaultNonNullable: false }))
if (!process.argv.includes('--check')) {
  await writeFile(types, wanted)
} else if ((await readFile(types, 'utf8').catch(() => '')) !== wanted) {
  console.error('src/api/generated/schema.d.ts does not fit appliance/server/openapi.json: run `npm run api` in web-ui')
  process.exit(1)
}
