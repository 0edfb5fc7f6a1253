/** What the appliance measured and kept, for charts: a second apart for an hour, ten for a day. */
import { keepPreviousData, useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { answer, api, type Schemas } from '../api/client.ts'
import type { Series } from './traffic.ts'

type Resource =
  'virtual-services' | 'all-virtual-services' | 'pools' | 'ports' | 'workers' | 'drops' | 'processes' | 'appliance'
type History = Schemas['StatsHistory']

const POINTS = 300

interface Asked {
  resource: Resource
  /** Empty for resources of which all come. */
  ids?: readonly string[]
  metrics: readonly string[]
  seconds: number
  enabled?: boolean
}

export function useHistory({ resource, ids = [], metrics, seconds, enabled = true }: Asked) {
  const needed = resource === 'virtual-services' || resource === 'pools'
  const step_s = Math.max(1, Math.ceil(seconds / POINTS))
  return useQuery({
    queryKey: ['history', resource, ids, metrics, seconds],
    queryFn: ({ signal }) =>
      answer(
        api.GET('/api/v1/stats/history', {
          params: { query: { resource, id: [...ids], metric: [...metrics], range_s: seconds, step_s } },
          signal,
        }),
      ),
    // A step that is over does not change any more.
    refetchInterval: Math.max(2, step_s) * 1000,
    placeholderData: keepPreviousData,
    enabled: enabled && (!needed || ids.length > 0),
  })
}

/** Columns for a chart: of each metric the sum over all resources; null where none of them was measured. */
export function summed(history: History | undefined, columns: readonly { metric: string; times?: number }[]): Series {
  if (history === undefined) return { times: [], values: columns.map(() => []) }
  const from = Date.parse(history.from) / 1000
  const length = Math.max(0, ...history.series.map(({ values }) => values.length))
  const times = Array.from({ length }, (_, index) => from + index * history.step_s)
  const values = columns.map(({ metric, times: factor = 1 }) => {
    const some = history.series.filter((one) => one.metric === metric)
    return times.map((_, index) => {
      const there = some.flatMap(({ values }) => values[index] ?? [])
      return there.length === 0 ? null : factor * there.reduce((sum, one) => sum + one, 0)
    })
  })
  return { times, values }
}

/** The sum over what is asked for, metric by metric. */
export function useSummed(asked: Asked, columns: readonly { metric: string; times?: number }[]): Series {
  const { data } = useHistory(asked)
  const key = JSON.stringify(columns)
  // eslint-disable-next-line react-hooks/exhaustive-deps -- columns of the same content are the same
  return useMemo(() => summed(data, columns), [data, key])
}
