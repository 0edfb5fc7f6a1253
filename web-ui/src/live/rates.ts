/** From what the plane counted since its start to what happens per second. Pure: times and counts come in. */
import type { Stats } from '../api/client.ts'

/** Per second. */
export interface Rates {
  connections: number
  packets: number
  bitsIn: number
  bitsOut: number
}

export interface Sample {
  /** Seconds of Unix time. */
  at: number
  total: Rates
  droppedFrames: number
  receivedFrames: number
  flows: number
  /** By virtual service. */
  services: ReadonlyMap<string, Rates>
  /** By virtual service and member. */
  members: ReadonlyMap<string, Rates>
}

export const NO_RATES: Rates = { connections: 0, packets: 0, bitsIn: 0, bitsOut: 0 }

export const memberKey = (serviceId: string, memberId: string) => `${serviceId}/${memberId}`

type Counts = Stats['backends'][number]

const addRates = (a: Rates, b: Rates): Rates => ({
  connections: a.connections + b.connections,
  packets: a.packets + b.packets,
  bitsIn: a.bitsIn + b.bitsIn,
  bitsOut: a.bitsOut + b.bitsOut,
})

function rates(before: Counts, now: Counts, seconds: number): Rates {
  const per = (count: (counts: Counts) => number) => Math.max(0, count(now) - count(before)) / seconds
  return {
    connections: per((counts) => counts.connections),
    packets: per((counts) => counts.packets_in + counts.packets_out),
    bitsIn: per((counts) => counts.bytes_in) * 8,
    bitsOut: per((counts) => counts.bytes_out) * 8,
  }
}

const sumOf = (counts: Record<string, number>) => Object.values(counts).reduce((sum, count) => sum + count, 0)
const keyOf = (counts: Counts) => memberKey(counts.virtual_service_id, counts.member_id)

/** What happened between two readings. Null where the plane was started in between: its counts began anew. */
export function sample(before: Stats, now: Stats, at: number, seconds: number): Sample | null {
  if (seconds <= 0 || now.accounting.received < before.accounting.received) return null
  const earlier = new Map(before.backends.map((counts) => [keyOf(counts), counts]))
  const services = new Map<string, Rates>()
  const members = new Map<string, Rates>()
  let total = NO_RATES
  for (const counts of now.backends) {
    // One that appeared since has counted from zero.
    const nothing = { ...counts, connections: 0, packets_in: 0, packets_out: 0, bytes_in: 0, bytes_out: 0 }
    const found = rates(earlier.get(keyOf(counts)) ?? nothing, counts, seconds)
    members.set(keyOf(counts), found)
    services.set(counts.virtual_service_id, addRates(services.get(counts.virtual_service_id) ?? NO_RATES, found))
    total = addRates(total, found)
  }
  return {
    at,
    total,
    droppedFrames: Math.max(0, sumOf(now.accounting.drops) - sumOf(before.accounting.drops)) / seconds,
    receivedFrames: (now.accounting.received - before.accounting.received) / seconds,
    flows: now.flows,
    services,
    members,
  }
}

/** Each member's share of the service's new connections in these samples; empty if there were none. */
export function shares(
  samples: readonly Sample[],
  serviceId: string,
  memberIds: readonly string[],
): Map<string, number> {
  const sums = memberIds.map((id) => {
    const key = memberKey(serviceId, id)
    return samples.reduce((sum, one) => sum + (one.members.get(key)?.connections ?? 0), 0)
  })
  const all = sums.reduce((sum, one) => sum + one, 0)
  if (all === 0) return new Map()
  return new Map(memberIds.map((id, index) => [id, (sums[index] ?? 0) / all]))
}
