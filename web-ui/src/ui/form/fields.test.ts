import { expect, test } from 'vitest'
import { compared, created, faultsOf, type Field, fieldAt, patched, valuesOf } from './fields.ts'

const fields: Field[] = [
  { path: 'name', kind: 'text', label: 'field.name', required: true },
  { path: 'port', kind: 'number', min: 1, max: 65535, label: 'field.port', required: true },
  { path: 'timeouts.idle_s', kind: 'number', min: 1, max: 86400, label: 'field.idle' },
  { path: 'tags', kind: 'tags', label: 'field.tags' },
  { path: 'http.path', kind: 'mono', label: 'field.address', when: ({ port }) => port === 80 },
]
const document = { name: 'web', port: 80, timeouts: { idle_s: 300 }, tags: ['a'], http: { path: '/' }, id: '7' }
const base = valuesOf(fields, document)

test('what did not change is not sent', () => {
  expect(patched(fields, base, base)).toEqual({})
  expect(patched(fields, base, { ...base, name: ' shop ', 'timeouts.idle_s': 60 })).toEqual({
    name: 'shop',
    timeouts: { idle_s: 60 },
  })
})

test('what is not there any more is taken back to its default', () => {
  expect(patched(fields, base, { ...base, port: 81 })).toEqual({ port: 81, http: { path: null } })
})

const keeping: Field[] = [
  { path: 'keep.kind', kind: 'choice', choices: [], label: 'field.kind', whole: true },
  { path: 'keep.name', kind: 'mono', label: 'field.name', when: (values) => values['keep.kind'] === 'cookie' },
  { path: 'codes', kind: 'tags', numbers: true, label: 'field.codes' },
  { path: 'tls', kind: 'part', label: 'field.enabled' },
  { path: 'tls.verify', kind: 'switch', label: 'field.enabled', usual: true, when: ({ tls }) => tls === true },
]

test('an object that is not wanted is null, and nothing is said of its fields', () => {
  const none = valuesOf(keeping, { keep: null, codes: [503], tls: null })
  expect(created(keeping, none)).toEqual({ codes: [503] })
  expect(created(keeping, { ...none, tls: true })).toEqual({ codes: [503], tls: { verify: true } })
  const all = valuesOf(keeping, { keep: { kind: 'cookie', name: 'a' }, codes: [], tls: { verify: false } })
  expect(patched(keeping, none, all)).toEqual({
    keep: { kind: 'cookie', name: 'a' },
    codes: [],
    tls: { verify: false },
  })
  expect(patched(keeping, all, none)).toEqual({ keep: null, codes: [503], tls: null })
  expect(patched(keeping, all, { ...all, 'keep.kind': 'source' })).toEqual({ keep: { kind: 'source', name: null } })
})

test('a new document leaves out what is empty', () => {
  expect(created(fields, { name: 'web', port: 443, tags: [], 'timeouts.idle_s': null })).toEqual({
    name: 'web',
    port: 443,
  })
})

test('needed and out of range', () => {
  expect(faultsOf(fields, { ...base, name: ' ', port: 70000 })).toEqual({ name: 'required', port: 'range' })
})

test('the server names a field by a pointer', () => {
  expect(fieldAt(fields, '/timeouts/idle_s')?.path).toBe('timeouts.idle_s')
  expect(fieldAt(fields, '/tags/3')?.path).toBe('tags')
  expect(fieldAt(fields, '/nothing')).toBeUndefined()
})

test('a conflict is what both changed, differently', () => {
  const mine = { ...base, name: 'mine', port: 81 }
  const theirs = { ...base, name: 'theirs', port: 81, tags: ['b'] }
  const { both, theirs: elsewhere } = compared(fields, base, mine, theirs)
  expect(both.map(({ field, ...values }) => [field.path, values])).toEqual([
    ['name', { base: 'web', mine: 'mine', theirs: 'theirs' }],
  ])
  expect(elsewhere.map(({ field }) => field.path)).toEqual(['tags'])
})

test('an object within one that is gone is not named', () => {
  const fields: Field[] = [
    { path: 'tls.ids', kind: 'tags', label: 'field.name', whole: true },
    { path: 'tls.hsts', kind: 'part', label: 'field.name' },
    { path: 'tls.hsts.age', kind: 'number', label: 'field.name', min: 0, max: 9, usual: 5 },
  ]
  const before = valuesOf(fields, { tls: { ids: ['a'], hsts: { age: 7 } } })
  expect(patched(fields, before, { ...before, 'tls.hsts': false })).toEqual({ tls: { hsts: null } })
  expect(patched(fields, before, { ...before, 'tls.ids': [], 'tls.hsts': false })).toEqual({ tls: null })
})
