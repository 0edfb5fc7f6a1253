import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { callsOf, type Description, rowsOf } from './description.ts'

const description = JSON.parse(readFileSync('../appliance/server/openapi.json', 'utf8')) as Description
const { schemas } = description.components
const rows = (name: string) =>
  new Map(rowsOf(schemas, { $ref: `#/components/schemas/${name}` }).map((row) => [row.path, row]))

test('every call of the API is in the reference', () => {
  const calls = callsOf(description)
  expect(calls.length).toBeGreaterThan(60)
  expect(calls.every(({ summary, tags }) => summary !== undefined && tags.length === 1)).toBe(true)
})

test('what stands in objects and lists is listed by its way, with type and limits', () => {
  expect(rows('MemberSpec').get('port')).toMatchObject({ type: 'integer 1–65535', required: true })
  expect(rows('PoolSpec').get('persistence.prefix')?.type).toBe('integer 1–32 = 32')
  expect(rows('PolicySpec').get('rules[].kind')?.required).toBe(true)
})
