import { expect, test } from 'vitest'
import { type NewService, operationsOf } from './createService.ts'

const wanted: NewService = {
  name: 'shop',
  address: '192.0.2.10',
  port: 443,
  mode: 'https proxy',
  pool: {
    members: [
      { name: 'a', address: '198.51.100.1', port: 80 },
      { name: 'b', address: '198.51.100.2', port: 80 },
    ],
    algorithm: 'round_robin',
    monitors: [],
    watch: true,
  },
  tls: { ids: ['c'], min_version: '1.2' },
  more: {},
}

test('everything that a service needs comes with it, and is named by it', () => {
  const operations = operationsOf(wanted, [])
  expect(operations.map(({ resource }) => resource)).toEqual([
    'virtual_ips',
    'monitors',
    'pools',
    'members',
    'members',
    'virtual_services',
  ])
  const [virtualIp, monitor, pool, member, , service] = operations
  expect(pool?.document).toMatchObject({ monitor_ids: [monitor?.id], protocol: 'tcp' })
  expect(member?.parent_id).toBe(pool?.id)
  expect(service?.document).toMatchObject({
    virtual_ip_ids: [virtualIp?.id],
    default_pool_id: pool?.id,
    tls: { certificate_ids: ['c'] },
  })
})

test('an address that is there is used again', () => {
  const known = [{ id: 'v', address: '192.0.2.10' }] as never
  const operations = operationsOf({ ...wanted, mode: 'udp nat', tls: null, pool: { id: 'p' } }, known)
  expect(operations).toHaveLength(1)
  expect(operations[0]?.document).toMatchObject({ virtual_ip_ids: ['v'], default_pool_id: 'p', protocol: 'udp' })
})
