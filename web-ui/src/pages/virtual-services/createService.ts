/** A virtual service with all that it needs, made in order; what was made is removed again if a later step fails. */
import type { VirtualIp } from '../../api/client.ts'
import { type Collection } from '../../api/collection.ts'
import { membersOf, pools, services, virtualIps } from '../../api/resources.ts'
import { type Mode, MODES } from '../../services/modes.ts'
import type { PastedMember } from '../../members/parseMembers.ts'

export interface NewService {
  name: string
  address: string
  port: number
  mode: Mode
  /** What watches the members of a new pool. */
  monitors: string[]
  pool: { id: string } | { members: PastedMember[] }
}

type Undo = () => Promise<unknown>

/** Takes back what was made a moment ago. */
const removal = (from: Collection<never, never>, id: string) => async () => from.remove(id, (await from.read(id)).etag)

export async function createService(wanted: NewService, known: readonly VirtualIp[]): Promise<string> {
  const { name, port } = wanted
  const undo: Undo[] = []
  try {
    const virtualIp = await virtualIpAt(wanted.address, known, undo)
    const pool = 'id' in wanted.pool ? wanted.pool.id : await poolOf(wanted, wanted.pool.members, undo)
    const body = { name, virtual_ip_ids: [virtualIp], ...MODES[wanted.mode], timeouts: {}, port, default_pool_id: pool }
    return (await services.create(body)).id
  } catch (error) {
    for (const step of undo.reverse()) await step().catch(() => {})
    throw error
  }
}

async function virtualIpAt(address: string, known: readonly VirtualIp[], undo: Undo[]): Promise<string> {
  const there = known.find((virtualIp) => virtualIp.address === address)
  if (there !== undefined) return there.id
  const { id } = await virtualIps.create({ name: address, address })
  undo.push(removal(virtualIps as never, id))
  return id
}

async function poolOf(
  { name, mode, monitors }: NewService,
  members: readonly PastedMember[],
  undo: Undo[],
): Promise<string> {
  const protocol = MODES[mode].protocol === 'udp' ? ('udp' as const) : ('tcp' as const)
  const { id } = await pools.create({ name, protocol, monitor_ids: monitors })
  undo.push(removal(pools as never, id))
  for (const member of members) await membersOf(id).create(member)
  return id
}
