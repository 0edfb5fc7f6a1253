/** From what the planes counted since their start to what happens per second. Pure: times and counts come in. */
import type { Stats } from '../api/client.ts'

/** Per second. */
export interface Rates {
  connections: number
  packets: number
  /** Only the layer-7 plane knows of requests. */
  requests: number
  bitsIn: number
  bitsOut: number
}

export interface Sample {
  /** Seconds of Unix time. */
  at: number
  total: Rates
  droppedFrames: number
  receivedFrames: number
  /** Connections that are open. */
  flows: number
  /** By virtual service. */
  services: ReadonlyMap<string, Rates>
  /** By member, and who gave it: the virtual service in layer 4, the pool in layer 7. */
  members: ReadonlyMap<string, Rates>
  /** Connections, in layer 7 requests, that the same have now. */
  open: ReadonlyMap<string, number>
}

export const NO_RATES: Rates = { connections: 0, packets: 0, requests: 0, bitsIn: 0, bitsOut: 0 }

export const memberKey = (giver: string, memberId: string) => `${giver}/${memberId}`

/** What a member is given is counted in connections in layer 4, in requests in layer 7. */
export const given = ({ connections, requests }: Rates) => (requests > 0 ? requests : connections)

export function addRates(a: Rates, b: Rates): Rates {
  return {
    connections: a.connections + b.connections,
    packets: a.packets + b.packets,
    requests: a.requests + b.requests,
    bitsIn: a.bitsIn + b.bitsIn,
    bitsOut: a.bitsOut + b.bitsOut,
  }
}

/** What both planes count, by one shape. */
interface Counts {
  connections: number
  packets: number
  requests: number
  bytesIn: number
  bytesOut: number
}

type Counted = ReadonlyMap<string, Counts>

interface Read {
  open: ReadonlyMap<string, number>
  services: Counted
  members: Counted
}

const NO_COUNTS: Counts = { connections: 0, packets: 0, requests: 0, bytesIn: 0, bytesOut: 0 }

function read({ backends, l7 }: Stats): Read {
  const services = new Map<string, Counts>()
  const members = new Map<string, Counts>()
  const open = new Map<string, number>()
  for (const { virtual_service_id, member_id, ...one } of backends) {
    const counts = {
      connections: one.connections,
      packets: one.packets_in + one.packets_out,
      requests: 0,
      bytesIn: one.bytes_in,
      bytesOut: one.bytes_out,
    }
    members.set(memberKey(virtual_service_id, member_id), counts)
    open.set(memberKey(virtual_service_id, member_id), one.active)
    services.set(virtual_service_id, added(services.get(virtual_service_id) ?? NO_COUNTS, counts))
  }
  for (const { virtual_service_id, connections, requests, bytes_in, bytes_out } of l7?.services ?? []) {
    services.set(virtual_service_id, { connections, packets: 0, requests, bytesIn: bytes_in, bytesOut: bytes_out })
  }
  for (const { pool_id, member_id, connections, requests, requests_open } of l7?.members ?? []) {
    open.set(memberKey(pool_id, member_id), requests_open)
    members.set(memberKey(pool_id, member_id), { ...NO_COUNTS, connections, requests })
  }
  return { services, members, open }
}

function added(a: Counts, b: Counts): Counts {
  return {
    connections: a.connections + b.connections,
    packets: a.packets + b.packets,
    requests: a.requests + b.requests,
    bytesIn: a.bytesIn + b.bytesIn,
    bytesOut: a.bytesOut + b.bytesOut,
  }
}

function rates(before: Counts, now: Counts, seconds: number): Rates {
  // A plane that was started again counts from zero.
  const per = (key: keyof Counts) => Math.max(0, now[key] - before[key]) / seconds
  return {
    connections: per('connections'),
    packets: per('packets'),
    requests: per('requests'),
    bitsIn: per('bytesIn') * 8,
    bitsOut: per('bytesOut') * 8,
  }
}

/** One that appeared since has counted from zero. */
const allRates = (before: Counted, now: Counted, seconds: number) =>
  new Map([...now].map(([key, counts]) => [key, rates(before.get(key) ?? NO_COUNTS, counts, seconds)]))

const sumOf = (counts: Record<string, number>) => Object.values(counts).reduce((sum, count) => sum + count, 0)

/** What happened between two readings. Null where the layer-4 plane was started in between. */
export function sample(before: Stats, now: Stats, at: number, seconds: number): Sample | null {
  if (seconds <= 0 || now.accounting.received < before.accounting.received) return null
  const [earlier, later] = [read(before), read(now)]
  const services = allRates(earlier.services, later.services, seconds)
  const proxied = now.l7?.services.reduce((sum, { connections_open }) => sum + connections_open, 0) ?? 0
  return {
    at,
    total: [...services.values()].reduce(addRates, NO_RATES),
    droppedFrames: Math.max(0, sumOf(now.accounting.drops) - sumOf(before.accounting.drops)) / seconds,
    receivedFrames: (now.accounting.received - before.accounting.received) / seconds,
    flows: now.flows + proxied,
    services,
    members: allRates(earlier.members, later.members, seconds),
    open: later.open,
  }
}

/** Each member's share of what was given in these samples; empty if nothing was. */
export function shares(samples: readonly Sample[], giver: string, memberIds: readonly string[]): Map<string, number> {
  const sums = memberIds.map((id) => {
    const key = memberKey(giver, id)
    return samples.reduce((sum, one) => sum + given(one.members.get(key) ?? NO_RATES), 0)
  })
  const all = sums.reduce((sum, one) => sum + one, 0)
  if (all === 0) return new Map()
  return new Map(memberIds.map((id, index) => [id, (sums[index] ?? 0) / all]))
}
