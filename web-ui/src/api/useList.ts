/**
 * A list as a screen shows it. Where all of it fits on the first page, it is filtered and sorted here, at once; a longer one is
 * filtered and sorted by the appliance and read as one scrolls.
 */
import { keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import type { Collection } from './collection.ts'
import { firstOf, scrolled } from './queries.ts'

/** What the appliance sorts every list by. */
const SORTED = /^(name|created_at|updated_at)(:|$)/

export interface Listed<View> {
  /** Undefined until there is an answer. */
  rows: View[] | undefined
  /** Whether these are all: then they can be filtered and sorted here. */
  complete: boolean
  error: Error | null
  retry: () => void
  /** When the rows were read. */
  at: number
  /** Reads the next page, if there is one. */
  more: (() => void) | undefined
}

export function useList<View>(
  from: Collection<View, never>,
  { q, sort }: { q?: string | undefined; sort?: string | undefined },
): Listed<View> {
  const first = useQuery(firstOf(from))
  const complete = first.data === undefined || !first.data.next
  const query = { ...(q ? { q } : {}), sort: sort !== undefined && SORTED.test(sort) ? sort : 'name' }
  const long = useInfiniteQuery({ ...scrolled(from, query, !complete), placeholderData: keepPreviousData })
  const pages = long.data?.pages
  const rows = useMemo(() => pages?.flatMap(({ items }) => items), [pages])
  const { hasNextPage, isFetchingNextPage, fetchNextPage } = long
  const used = complete ? first : long
  return {
    rows: complete ? first.data?.items : (rows ?? first.data?.items),
    complete,
    error: used.error,
    retry: () => void used.refetch(),
    at: used.dataUpdatedAt,
    more: !complete && hasNextPage && !isFetchingNextPage ? () => void fetchNextPage() : undefined,
  }
}
