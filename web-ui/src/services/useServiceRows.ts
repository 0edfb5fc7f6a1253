/** Virtual services with all that is shown of them in one place: addresses, members, facts. */
import { useQueries, useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import type { Member, VirtualService } from '../api/client.ts'
import { membersQuery, servicesQuery, virtualIpsQuery } from '../api/queries.ts'
import { type Facts, serviceFacts } from '../status/facts.ts'

export interface ServiceRow {
  service: VirtualService
  addresses: string[]
  /** Undefined until they are known. */
  members: readonly Member[] | undefined
  facts: Facts
}

export function useServiceRows() {
  const { data: services, error, dataUpdatedAt, refetch } = useQuery(servicesQuery)
  const { data: virtualIps } = useQuery(virtualIpsQuery)
  const poolIds = useMemo(() => {
    const ids = (services ?? []).flatMap(({ default_pool_id }) => default_pool_id ?? [])
    return [...new Set(ids)]
  }, [services])
  const members = useQueries({
    queries: poolIds.map((id) => membersQuery(id)),
    combine: (results) => results.map(({ data }) => data),
  })
  const rows = useMemo(() => {
    const byPool = new Map(poolIds.map((id, index) => [id, members[index]]))
    const addressOf = new Map(virtualIps?.map(({ id, address }) => [id, address]))
    return services?.map((service): ServiceRow => {
      const own = service.default_pool_id === null ? [] : byPool.get(service.default_pool_id)
      const addresses = service.virtual_ip_ids.flatMap((id) => addressOf.get(id) ?? [])
      return { service, addresses, members: own, facts: serviceFacts(service, own) }
    })
  }, [services, virtualIps, poolIds, members])
  return { rows, error, dataUpdatedAt, retry: () => void refetch() }
}
