/** What the screens read, and how often. All of it pauses while the page is hidden. */
import { infiniteQueryOptions, queryOptions } from '@tanstack/react-query'
import { answer, api } from './client.ts'
import { type Collection, cursorOf, type ListQuery, type Page } from './collection.ts'
import { certificates, changesets, membersOf, monitors, pools, services, virtualIps } from './resources.ts'

/** Live values. */
const EVERY_SECOND = 1000
/** What operators change. */
const NOW_AND_THEN = 5000
/** As many as the API gives at once. */
export const PAGE = 500
/** Further pages of a long list come as one scrolls. */
const SCROLLED = 200

export const keys = {
  session: ['session'],
  status: ['status'],
  stats: ['stats'],
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

/** The first page by name, which is all there is in most places: for choices, names of what is referred to, summaries. */
export const firstOf = <View>(from: Collection<View, never>) =>
  queryOptions({
    queryKey: [from.key, from.url, 'first'],
    queryFn: ({ signal }) => from.list({ limit: PAGE, sort: 'name' }, signal),
    refetchInterval: NOW_AND_THEN,
  })

/** A list that is read page by page as one scrolls. */
export const scrolled = <View>(from: Collection<View, never>, query: ListQuery, enabled: boolean) =>
  infiniteQueryOptions({
    queryKey: [from.key, from.url, 'scrolled', query],
    queryFn: ({ pageParam, signal }) => from.list({ ...query, limit: SCROLLED, cursor: pageParam }, signal),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last: Page<View>) => cursorOf(last),
    // Each reading takes all pages that are there: the more, the less often.
    refetchInterval: (query) => NOW_AND_THEN * Math.max(1, query.state.data?.pages.length ?? 1),
    enabled,
  })

/** One resource, for its own screen. */
export const oneOf = <View>(from: Collection<View, never>, id: string) =>
  queryOptions({
    queryKey: [from.key, from.url, 'one', id],
    queryFn: async ({ signal }) => (await from.read(id, signal)).view,
    refetchInterval: NOW_AND_THEN,
  })

const items = <View>(page: Page<View>) => page.items

export const servicesQuery = queryOptions({ ...firstOf(services), select: items })
export const virtualIpsQuery = queryOptions({ ...firstOf(virtualIps), select: items })
export const poolsQuery = queryOptions({ ...firstOf(pools), select: items })
export const monitorsQuery = queryOptions({ ...firstOf(monitors), select: items })
export const certificatesQuery = queryOptions({ ...firstOf(certificates), select: items })
export const changesetsQuery = queryOptions({ ...firstOf(changesets), select: items })
export const membersQuery = (poolId: string) => queryOptions({ ...firstOf(membersOf(poolId)), select: items })

/** The last few changes: among them those that wait to be confirmed. */
export const latestRevisionsQuery = queryOptions({
  queryKey: ['revisions', 'latest'],
  queryFn: ({ signal }) => answer(api.GET('/api/v1/revisions', { params: { query: { limit: 8 } }, signal })),
  refetchInterval: NOW_AND_THEN,
})

/** For reading a collection anew, whatever was asked of it. */
export const everyOf = (from: Collection<never, never>) => ({ queryKey: [from.key] })
