import { expect, test } from 'vitest'
import { asCommands, asCurl, variable } from './commands.ts'

test('what is created is named by what follows', () => {
  const text = asCommands([
    { method: 'POST', url: '/api/v1/pools', body: { name: "it's" }, as: 'POOL' },
    { method: 'POST', url: `/api/v1/pools/${variable('POOL')}/members`, body: { pool: variable('POOL') } },
  ])
  expect(text).toBe(
    `POOL=$(penstock -o json create "pools" '{\n  "name": "it'\\''s"\n}' | jq -r .id)\n\n` +
      `penstock create "pools/$POOL/members" '{\n  "pool": "'"$POOL"'"\n}'`,
  )
})

test('a change says what it was made of', () => {
  const text = asCurl([{ method: 'PATCH', url: '/api/v1/pools/7', body: { port: 80 }, etag: '"a"' }])
  expect(text).toContain(`-H 'If-Match: "a"'`)
  expect(text).toContain('/api/v1/pools/7"')
})
