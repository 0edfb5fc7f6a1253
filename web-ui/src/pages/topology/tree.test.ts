import { expect, test } from 'vitest'
import type { ServiceRow } from '../../services/useServiceRows.ts'
import { linesOf } from './tree.ts'

const row = (id: string, virtualIp: string, pool: string | null, health = 'up') =>
  ({
    service: { id, virtual_ip_ids: [virtualIp], default_pool_id: pool },
    addresses: [],
    facts: { health, sync: 'applied' },
  }) as unknown as ServiceRow
const policy = (service: string, ...pools: string[]) => ({
  virtual_service_id: service,
  enabled: true,
  name: 'rule',
  pools: pools.map((pool_id) => ({ pool_id, weight: 1 })),
})
const shown = (lines: ReturnType<typeof linesOf>) =>
  lines.map(({ virtualIpId, inAddress, row, inService, poolId }) =>
    [inAddress.first ? virtualIpId : '', inService.first ? row.service.id : '', poolId].join(' '),
  )

test('each way is a line, each node stands once, the worst first', () => {
  const rows = [row('a', 'v1', 'p1'), row('b', 'v2', 'p2', 'down'), row('c', 'v1', 'p1')]
  expect(shown(linesOf(rows, [policy('a', 'p1', 'p3')]))).toEqual(['v2 b p2', 'v1 a p1', '  p3', ' c p1'])
})

test('a service without a pool is there too, unless its rules lead somewhere', () => {
  expect(shown(linesOf([row('a', 'v', null)], []))).toEqual(['v a '])
  expect(shown(linesOf([row('a', 'v', null)], [policy('a', 'p')]))).toEqual(['v a p'])
})
