/** What resources are called that a change only names by their identifiers. */
import { useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import type { Schemas } from '../api/client.ts'
import { certificatesQuery, monitorsQuery, poolsQuery, servicesQuery, virtualIpsQuery } from '../api/queries.ts'

export function useNames(changes: readonly Schemas['Change'][] = []): ReadonlyMap<string, string> {
  const { data: services } = useQuery(servicesQuery)
  const { data: pools } = useQuery(poolsQuery)
  const { data: virtualIps } = useQuery(virtualIpsQuery)
  const { data: monitors } = useQuery(monitorsQuery)
  const { data: some } = useQuery(certificatesQuery)
  return useMemo(() => {
    const all = [services, pools, virtualIps, monitors, some, changes]
    return new Map(all.flatMap((list) => (list ?? []).map(({ id, name }) => [id, name] as const)))
  }, [services, pools, virtualIps, monitors, some, changes])
}
