import { expect, test } from 'vitest'
import { summed } from './history.ts'

const series = (id: string, metric: string, values: (number | null)[]) => ({
  id,
  metric,
  kind: 'counter',
  unit: '',
  values,
})

test('a sum is of what was measured, and nothing where nothing was', () => {
  const history = {
    from: '1970-01-01T00:01:40Z',
    to: '1970-01-01T00:02:10Z',
    step_s: 10,
    resolution_s: 10,
    aggregation: 'avg',
    series: [
      series('a', 'bytes_in', [1, null, null]),
      series('b', 'bytes_in', [2, 3, null]),
      series('a', 'requests', [9, 9, 9]),
    ],
  }
  expect(summed(history as never, [{ metric: 'bytes_in', times: 8 }])).toEqual({
    times: [100, 110, 120],
    values: [[24, 24, null]],
  })
})
