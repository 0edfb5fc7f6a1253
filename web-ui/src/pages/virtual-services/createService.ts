/** A virtual service with all that it needs, made in order; what was made is removed again if a later step fails. */
import { answer, api, type VirtualIp, WHATEVER_VERSION } from '../../api/client.ts'
import type { PastedMember } from './parseMembers.ts'

export interface NewService {
  name: string
  address: string
  port: number
  pool: { id: string } | { members: PastedMember[] }
}

type Undo = () => Promise<unknown>

export async function createService(wanted: NewService, virtualIps: readonly VirtualIp[]): Promise<string> {
  const undo: Undo[] = []
  try {
    const virtualIp = await virtualIpAt(wanted.address, virtualIps, undo)
    const pool = 'id' in wanted.pool ? wanted.pool.id : await poolOf(wanted.name, wanted.pool.members, undo)
    const body = {
      name: wanted.name,
      virtual_ip_ids: [virtualIp],
      protocol: 'tcp' as const,
      port: wanted.port,
      default_pool_id: pool,
    }
    const created = await answer(api.POST('/api/v1/virtual-services', { body: body }))
    return created.id
  } catch (error) {
    for (const step of undo.reverse()) await step().catch(() => {})
    throw error
  }
}

async function virtualIpAt(address: string, known: readonly VirtualIp[], undo: Undo[]): Promise<string> {
  const there = known.find((virtualIp) => virtualIp.address === address)
  if (there !== undefined) return there.id
  const { id } = await answer(api.POST('/api/v1/virtual-ips', { body: { name: address, address } }))
  const params = { path: { id }, header: WHATEVER_VERSION }
  undo.push(() => answer(api.DELETE('/api/v1/virtual-ips/{id}', { params })))
  return id
}

async function poolOf(name: string, members: readonly PastedMember[], undo: Undo[]): Promise<string> {
  const { id } = await answer(api.POST('/api/v1/pools', { body: { name } }))
  const params = { path: { id }, header: WHATEVER_VERSION }
  undo.push(() => answer(api.DELETE('/api/v1/pools/{id}', { params })))
  for (const member of members) {
    const path = { pool_id: id }
    await answer(api.POST('/api/v1/pools/{pool_id}/members', { params: { path }, body: member }))
  }
  return id
}
