import { expect, test } from 'vitest'
import type { Stats } from '../api/client.ts'
import { given, memberKey, sample, shares } from './rates.ts'
import { series, Traffic } from './traffic.ts'

function stats(connections: [number, number], received = connections[0] + connections[1]): Stats {
  const backends = connections.map((count, index) => ({
    virtual_service_id: 'shop',
    member_id: `m${index}`,
    connections: count,
    active: 1,
    unopened: 0,
    packets_in: count * 5,
    packets_out: count * 4,
    bytes_in: count * 100,
    bytes_out: count * 1000,
  }))
  const accounting = { received, from_twin: 0, originated: 0, sent: 0, punted: 0, consumed: 0, held: 0, drops: {} }
  const syn_cookies = { given: 0, taken: 0 }
  return {
    generation: 1,
    ports: [],
    accounting,
    syn_cookies,
    flows: 3,
    flows_attached: 0,
    backends,
    workers: [],
    l7: null,
  }
}

test('rates are differences over time', () => {
  const found = sample(stats([10, 10]), stats([14, 12]), 100, 2)
  expect(found?.total).toEqual({ connections: 3, packets: 27, requests: 0, bitsIn: 2400, bitsOut: 24000 })
  expect(found?.members.get(memberKey('shop', 'm0'))?.connections).toBe(2)
})

test('a plane that was started again is no negative rate', () => {
  expect(sample(stats([10, 10]), stats([0, 1]), 100, 1)).toBeNull()
})

test('what the layer-7 plane serves is counted in requests', () => {
  const id = { pool_id: 'pool', member_id: 'm0', connections: 1, requests_open: 0, failures: 0, ejection: null }
  const times = { buckets: [], sum_us: 0 }
  const counted = { connections: 5, connections_open: 4, answers: {}, endings: {} }
  const service = { virtual_service_id: 'web', ...counted, answer_times: times, request_times: times }
  const at = (requests: number): Stats => ({
    ...stats([0, 0]),
    l7: {
      generation: 1,
      services: [{ ...service, requests, bytes_in: requests * 10, bytes_out: requests * 100 }],
      members: [{ ...id, requests }],
      queues: [],
    },
  })
  const found = sample(at(10), at(30), 100, 2)
  expect(found?.services.get('web')).toMatchObject({ requests: 10, bitsIn: 800, bitsOut: 8000 })
  expect(given(found!.members.get(memberKey('pool', 'm0'))!)).toBe(10)
  expect(found?.flows).toBe(7)
})

test('shares are of new connections, and unknown without any', () => {
  const busy = sample(stats([0, 0]), stats([3, 1]), 100, 1)
  const idle = sample(stats([3, 1]), stats([3, 1]), 101, 1)
  expect([...shares([busy!, idle!], 'shop', ['m0', 'm1']).values()]).toEqual([0.75, 0.25])
  expect(shares([idle!], 'shop', ['m0', 'm1']).size).toBe(0)
})

test('a pause is a gap in the chart', () => {
  const traffic = new Traffic()
  ;[0, 1, 2, 20, 21].forEach((second) => traffic.add(stats([second, 0]), second * 1000))
  const { times, values } = series(traffic.samples(), (one) => one.total.connections)
  expect(times).toEqual([1, 2, 3, 20, 21])
  expect(values[0]?.[2]).toBeNull()
})
