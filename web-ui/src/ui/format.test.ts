import { expect, test } from 'vitest'
import { age, bitRate, count, percent } from './format.ts'

test('numbers have three digits and a step', () => {
  expect([0, 7.84, 999, 1000, 70_180, 999_600, 1_310_000].map(count)).toEqual([
    '0',
    '7.8',
    '999',
    '1.00k',
    '70.2k',
    '1.00M',
    '1.31M',
  ])
  expect(bitRate(89_700_000_000)).toBe('89.7 Gb/s')
  expect([0, 0.5, 0.012, 0.00002].map(percent)).toEqual(['0%', '50%', '1.2%', '0.002%'])
})

test('times are said in the largest unit that they fill', () => {
  expect([40, 1300, 61_000, 300_000, 86_400_000].map(age)).toEqual(['40 ms', '1.3 s', '61 s', '5 min', '24 h'])
})
