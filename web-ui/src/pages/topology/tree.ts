/** What leads to what, as lines of a map: each line is one way from an address to a pool, and nodes stand on the first of theirs. */
import type { Schemas } from '../../api/client.ts'
import type { ServiceRow } from '../../services/useServiceRows.ts'
import { severity } from '../../status/facts.ts'

type Policy = Pick<Schemas['PolicyView'], 'virtual_service_id' | 'enabled' | 'name' | 'pools'>

/** Where a line stands among those of the same node: its first line shows the node. */
export interface Place {
  first: boolean
  last: boolean
}

export interface Line {
  key: string
  virtualIpId: string
  /** How many other addresses offer the same service. */
  others: number
  /** Among the lines of its address. */
  inAddress: Place
  row: ServiceRow
  /** Among the lines of its service. */
  inService: Place
  /** Null where a service has no pool. */
  poolId: string | null
  /** The rule that leads there; null for the pool of the service itself. */
  rule: string | null
}

/** A service's own pool, and those that its rules lead to. */
function poolsOf(
  { service }: ServiceRow,
  policies: readonly Policy[],
): { poolId: string | null; rule: string | null }[] {
  const ruled = policies
    .filter(({ virtual_service_id, enabled }) => virtual_service_id === service.id && enabled)
    .flatMap(({ name, pools }) => pools.map(({ pool_id }) => ({ poolId: pool_id, rule: name })))
    .filter(({ poolId }, index, all) => all.findIndex((one) => one.poolId === poolId) === index)
    .filter(({ poolId }) => poolId !== service.default_pool_id)
  const own = service.default_pool_id
  return own === null && ruled.length > 0 ? ruled : [{ poolId: own, rule: null }, ...ruled]
}

const place = (index: number, length: number): Place => ({ first: index === 0, last: index === length - 1 })

/** Addresses with the worst service first, and under each the worst service first. */
export function linesOf(rows: readonly ServiceRow[], policies: readonly Policy[]): Line[] {
  const groups = new Map<string, ServiceRow[]>()
  for (const row of [...rows].sort((a, b) => severity(a.facts) - severity(b.facts))) {
    const id = row.service.virtual_ip_ids[0] ?? ''
    groups.set(id, [...(groups.get(id) ?? []), row])
  }
  return [...groups].flatMap(([virtualIpId, some]) => {
    const lines = some.flatMap((row) =>
      poolsOf(row, policies).map((pool, at, all) => ({ row, pool, at, of: all.length })),
    )
    return lines.map(({ row, pool, at, of }, index): Line => ({
      key: `${row.service.id} ${pool.poolId}`,
      virtualIpId,
      others: row.service.virtual_ip_ids.length - 1,
      inAddress: place(index, lines.length),
      row,
      inService: place(at, of),
      ...pool,
    }))
  })
}
