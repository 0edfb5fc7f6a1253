/** One of a collection, for showing it beside others: from the first page, where it mostly is; or else it is read by itself. */
import { useQuery } from '@tanstack/react-query'
import type { Collection } from './collection.ts'
import { firstOf, oneOf } from './queries.ts'

export function useOne<View extends { id: string }>(
  from: Collection<View, never>,
  id: string,
): { data: View | undefined } {
  const { data: first } = useQuery(firstOf(from))
  const found = first?.items.find((one) => one.id === id)
  const { data } = useQuery({
    ...oneOf(from, id),
    enabled: id !== '' && first !== undefined && found === undefined && Boolean(first.next),
  })
  return { data: found ?? data }
}
