/** What the appliance wrote down, newest first, page by page as one scrolls. */
import { useInfiniteQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { answer, api } from './client.ts'
import { cursorOf, type ListOf, type Page } from './collection.ts'
import type { Listed } from './useList.ts'

export type LogPath = '/api/v1/events' | '/api/v1/revisions' | '/api/v1/audit'
type Entry<P extends LogPath> = ListOf<P> extends { items: (infer One)[] } ? One : never

const AT_ONCE = 100
const REREAD_MS = 10_000

export function useLog<P extends LogPath>(path: P, filter: Record<string, string> = {}): Listed<Entry<P>> {
  const { data, error, refetch, dataUpdatedAt, hasNextPage, isFetchingNextPage, fetchNextPage } = useInfiniteQuery({
    queryKey: [path.split('/').at(-1), filter],
    queryFn: ({ pageParam, signal }) => {
      const params = { query: { ...filter, limit: AT_ONCE, ...(pageParam && { cursor: pageParam }) } }
      return answer(api.GET(path as '/api/v1/events', { params, signal })) as unknown as Promise<Page<Entry<P>>>
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => cursorOf(last),
    refetchInterval: REREAD_MS,
  })
  const rows = useMemo(() => data?.pages.flatMap(({ items }) => items), [data])
  return {
    rows,
    // What is searched for is searched in what was read so far; more comes by scrolling.
    complete: true,
    error,
    retry: () => void refetch(),
    at: dataUpdatedAt,
    more: hasNextPage && !isFetchingNextPage ? () => void fetchNextPage() : undefined,
  }
}
