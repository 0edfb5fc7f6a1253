import { expect, test } from 'vitest'
import type { Operation } from '../api/client.ts'
import { joined, merged } from './operations.ts'

const of = (action: Operation['action'], id: string, document: object = {}, parent_id: string | null = null) =>
  ({ action, resource: 'pools', id, parent_id, document }) as Operation

test('two patches become one that does what both do', () => {
  expect(merged({ a: 1, t: { x: 1, y: 2 } }, { a: null, t: { x: 3 } })).toEqual({ a: null, t: { x: 3, y: 2 } })
})

test('what is changed before it is there is created so', () => {
  const [only, ...rest] = joined([of('create', '1', { name: 'a', port: 80 })], of('update', '1', { port: null }))
  expect(rest).toEqual([])
  expect(only).toMatchObject({ action: 'create', document: { name: 'a' } })
})

test('what is deleted before it is there leaves nothing, nor what was in it', () => {
  const inside = { ...of('create', '2', {}, '1'), resource: 'members' }
  expect(joined([of('create', '1'), inside, of('create', '3')], of('delete', '1'))).toEqual([of('create', '3')])
})

test('what is deleted need not be changed first', () => {
  expect(joined([of('update', '1', { name: 'b' })], of('delete', '1'))).toEqual([of('delete', '1')])
})
