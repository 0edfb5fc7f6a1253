import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { ENDINGS, phasesOf } from './times.ts'

test('times from one beginning are taken apart', () => {
  const times = { head_us: 5, queue_us: 100, connect_us: 300, answer_us: 1200, total_us: 1500 }
  expect(phasesOf({ times, tries: 1 })).toEqual({ head: 5, queue: 100, connect: 300, member: 800, transfer: 300 })
})

test('without an answer nothing is passed on', () => {
  const times = { head_us: null, queue_us: 0, connect_us: 700, answer_us: null, total_us: 5000 }
  expect(phasesOf({ times, tries: 1 })).toEqual({ head: 0, queue: 0, connect: 700, member: 4300, transfer: 0 })
})

test('what is refused is answered by nobody else', () => {
  const times = { head_us: null, queue_us: 0, connect_us: 0, answer_us: null, total_us: 80 }
  expect(phasesOf({ times, tries: 0 })).toEqual({ head: 0, queue: 0, connect: 0, member: 0, transfer: 80 })
})

test('every ending that the API knows has a word', () => {
  const { paths } = JSON.parse(readFileSync('../appliance/server/openapi.json', 'utf8')) as {
    paths: Record<string, { get: { parameters: { name: string; schema: { enum?: string[] } }[] } }>
  }
  const asked = paths['/api/v1/requests']?.get.parameters.find(({ name }) => name === 'ending')
  expect(asked?.schema.enum).toEqual(ENDINGS)
})
