/** What a plane sees now, newest first, page by page as one scrolls; read again and again unless it is held still. */
import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query'
import { useDeferredValue, useMemo } from 'react'
import { answer, api } from './client.ts'
import { cursorOf, type ListOf, type Page } from './collection.ts'

type ObservedPath = '/api/v1/connections' | '/api/v1/requests'
type Seen<P extends ObservedPath> = ListOf<P> extends { items: (infer One)[] } ? One : never

const AT_ONCE = 100
/** So many pages are read anew together; of more one is told that they stand still. */
const LIVE_PAGES = 5
const AGAIN_MS = 2000

export interface Observed<View> {
  rows: View[] | undefined
  error: Error | null
  retry: () => void
  /** Whether there are more than were read. */
  isMore: boolean
  /** Reads the next page, unless that is being done. */
  more: (() => void) | undefined
}

export function useObserved<P extends ObservedPath>(path: P, search: object, frozen: boolean): Observed<Seen<P>> {
  const asked = useDeferredValue(search)
  const { data, error, refetch, hasNextPage, isFetchingNextPage, fetchNextPage } = useInfiniteQuery({
    queryKey: [path, asked],
    queryFn: ({ pageParam, signal }) => {
      const params = { query: { ...asked, limit: AT_ONCE, ...(pageParam && { cursor: pageParam }) } }
      const asking = api.GET(path as '/api/v1/connections', { params: params as object, signal })
      return answer(asking) as unknown as Promise<Page<Seen<P>>>
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => cursorOf(last),
    refetchInterval: ({ state }) => (frozen || (state.data?.pages.length ?? 0) > LIVE_PAGES ? false : AGAIN_MS),
    placeholderData: keepPreviousData,
    retry: false,
  })
  const rows = useMemo(() => data?.pages.flatMap(({ items }) => items), [data])
  return {
    rows,
    error,
    retry: () => void refetch(),
    isMore: hasNextPage,
    more: hasNextPage && !isFetchingNextPage ? () => void fetchNextPage() : undefined,
  }
}
