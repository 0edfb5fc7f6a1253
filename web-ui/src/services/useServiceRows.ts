/** Virtual services with what is shown of them in one place: addresses and facts. */
import { useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import type { VirtualService } from '../api/client.ts'
import { virtualIpsQuery } from '../api/queries.ts'
import { services } from '../api/resources.ts'
import { useList } from '../api/useList.ts'
import { type Facts, serviceFacts } from '../status/facts.ts'

export interface ServiceRow {
  service: VirtualService
  addresses: string[]
  facts: Facts
}

/** `search` matters to a list that is too long to be all here. */
export function useServiceRows(search: { q?: string | undefined; sort?: string | undefined } = {}) {
  const list = useList(services, search)
  const { data: virtualIps } = useQuery(virtualIpsQuery)
  const rows = useMemo(() => {
    const addressOf = new Map(virtualIps?.map(({ id, address }) => [id, address]))
    return list.rows?.map((service): ServiceRow => ({
      service,
      addresses: service.virtual_ip_ids.flatMap((id) => addressOf.get(id) ?? []),
      facts: serviceFacts(service),
    }))
  }, [list.rows, virtualIps])
  return { ...list, rows }
}
