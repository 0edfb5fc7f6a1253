/** What the screens read, and how often. All of it pauses while the page is hidden. */
import { queryOptions } from '@tanstack/react-query'
import { answer, api } from './client.ts'

/** Live values. */
const EVERY_SECOND = 1000
/** What operators change. */
const NOW_AND_THEN = 5000
/** As many as the API gives at once. */
const PAGE = 500

export const keys = {
  session: ['session'],
  status: ['status'],
  stats: ['stats'],
  services: ['virtual-services'],
  virtualIps: ['virtual-ips'],
  pools: ['pools'],
  members: ['members'],
} as const

export const sessionQuery = queryOptions({
  queryKey: keys.session,
  queryFn: ({ signal }) => answer(api.GET('/api/v1/sessions/current', { signal })),
  staleTime: 60_000,
  retry: false,
})

export const statusQuery = queryOptions({
  queryKey: keys.status,
  queryFn: ({ signal }) => answer(api.GET('/api/v1/status', { signal })),
  refetchInterval: EVERY_SECOND,
})

export const statsQuery = queryOptions({
  queryKey: keys.stats,
  queryFn: ({ signal }) => answer(api.GET('/api/v1/stats', { signal })),
})

const page = { limit: PAGE, sort: 'name' }

export const servicesQuery = queryOptions({
  queryKey: keys.services,
  queryFn: ({ signal }) => answer(api.GET('/api/v1/virtual-services', { params: { query: page }, signal })),
  select: (list) => list.items,
  refetchInterval: NOW_AND_THEN,
})

export const virtualIpsQuery = queryOptions({
  queryKey: keys.virtualIps,
  queryFn: ({ signal }) => answer(api.GET('/api/v1/virtual-ips', { params: { query: page }, signal })),
  select: (list) => list.items,
  refetchInterval: NOW_AND_THEN,
})

export const poolsQuery = queryOptions({
  queryKey: keys.pools,
  queryFn: ({ signal }) => answer(api.GET('/api/v1/pools', { params: { query: page }, signal })),
  select: (list) => list.items,
  refetchInterval: NOW_AND_THEN,
})

export const membersQuery = (poolId: string) =>
  queryOptions({
    queryKey: [...keys.members, poolId],
    queryFn: ({ signal }) =>
      answer(
        api.GET('/api/v1/pools/{pool_id}/members', { params: { path: { pool_id: poolId }, query: page }, signal }),
      ),
    select: (list) => list.items,
    refetchInterval: NOW_AND_THEN,
  })
