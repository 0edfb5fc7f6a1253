import { expect, test } from 'vitest'
import { parseMembers } from './parseMembers.ts'

test('members are read as people paste them', () => {
  const { members, faults } = parseMembers('10.0.0.1\n\n 10.0.0.2:8080 \nweb three, 10.0.0.3:81\n', 80)
  expect(faults).toEqual([])
  expect(members).toEqual([
    { name: '10.0.0.1:80', address: '10.0.0.1', port: 80 },
    { name: '10.0.0.2:8080', address: '10.0.0.2', port: 8080 },
    { name: 'web three', address: '10.0.0.3', port: 81 },
  ])
})

test('every wrong line is named', () => {
  const text = '10.0.0.256\n10.0.0.1:0\n10.0.0.1\n10.0.0.1:80\nhost.example:80'
  expect(parseMembers(text, 80).faults).toEqual(['line:1', 'line:2', 'duplicate:4', 'line:5'])
})
