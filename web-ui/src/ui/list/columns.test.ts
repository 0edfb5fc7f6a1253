import { expect, test } from 'vitest'
import { csv, nextSorting, parseSorting, sorted, sortingText } from './columns.ts'

const columns = [
  { id: 'name', title: 'Name', cell: () => null, value: (row: { name: string; n: number }) => row.name },
  { id: 'n', title: 'Count', cell: () => null, value: (row: { name: string; n: number }) => row.n },
  { id: 'trend', title: 'Trend', cell: () => null },
]
const rows = [
  { name: 'web-10', n: 1 },
  { name: 'web-2', n: 3 },
]

test('names are sorted as people count', () => {
  expect(sorted(rows, columns, parseSorting('name')).map(({ name }) => name)).toEqual(['web-2', 'web-10'])
  expect(sorted(rows, columns, parseSorting('n:desc')).map(({ n }) => n)).toEqual([3, 1])
})

test('a heading sorts up, down, and not at all', () => {
  const up = nextSorting('n', undefined)
  expect(up && sortingText(up)).toBe('n')
  const down = nextSorting('n', up)
  expect(down && sortingText(down)).toBe('n:desc')
  expect(nextSorting('n', down)).toBeUndefined()
})

test('an export is text and no formula', () => {
  expect(csv([{ name: '=1+1', n: -2 }], columns)).toBe("Name,Count\r\n'=1+1,-2\r\n")
  expect(csv([{ name: 'a "b", c', n: 0 }], columns)).toBe('Name,Count\r\n"a ""b"", c",0\r\n')
})
