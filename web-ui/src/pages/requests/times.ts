/** Where the time of a request went, and how it can end. */
import type { Schemas } from '../../api/client.ts'

type Times = Schemas['RequestTimes']

export const PHASES = ['head', 'queue', 'connect', 'member', 'transfer'] as const
type Phase = (typeof PHASES)[number]

/** Every way in which a request can end badly. */
export const ENDINGS = [
  'bad_request',
  'bad_proxy_header',
  'tls_failed',
  'head_too_large',
  'body_too_large',
  'too_many_connections',
  'unauthorized',
  'rejected',
  'rate_limited',
  'client_timeout',
  'taken_back',
  'client_gone',
  'silent',
  'service_gone',
  'no_member',
  'members_full',
  'queue_full',
  'queue_timeout',
  'circuit_open',
  'connect_failed',
  'member_tls',
  'member_timeout',
  'member_closed',
  'member_protocol',
  'member_cut',
] as const

/** One phase after the other, in microseconds: what the API counts from the same beginning is taken apart. */
export function phasesOf({ times, tries }: { times: Times; tries: number }): Record<Phase, number> {
  const { head_us, queue_us, connect_us, answer_us, total_us } = times
  const before = queue_us + connect_us
  // Whom nobody asked does not answer: then it is all ours.
  const answered = answer_us ?? (tries === 0 ? before : total_us)
  return {
    head: head_us ?? 0,
    queue: queue_us,
    connect: connect_us,
    member: Math.max(0, answered - before),
    transfer: Math.max(0, total_us - Math.max(answered, before)),
  }
}
