/**
 * A virtual service with all that it needs: edits that are applied as one, or not at all. Only a certificate goes before, by
 * itself: its private key must not lie in a changeset.
 */
import { answer, api, type Operation, type VirtualIp } from '../api/client.ts'
import { ApiProblem } from '../api/problem.ts'
import { certificates, changesets } from '../api/resources.ts'
import type { PastedMember } from '../members/parseMembers.ts'
import { hasRequests, type Mode, MODES } from './modes.ts'
import { type ApiCall, variable } from '../ui/form/commands.ts'

export interface NewService {
  name: string
  address: string
  port: number
  mode: Mode
  pool: { id: string } | { members: PastedMember[]; algorithm: string; monitors: string[]; watch: boolean }
  /** Certificates of `https`. */
  tls: { ids: string[]; min_version: string } | null
  /** What else is written of the service. */
  more: object
}

export interface NewCertificate {
  name: string
  chain: string
  private_key: string
}

const creation = (resource: string, document: object, parent_id: string | null = null): Operation => ({
  action: 'create',
  resource,
  id: crypto.randomUUID(),
  parent_id,
  document: document as never,
})

/** In the order in which a person would do it. */
export function operationsOf(wanted: NewService, known: readonly VirtualIp[]): Operation[] {
  const { name, address, port, mode, tls, more } = wanted
  const operations: Operation[] = []
  const create = (...what: Parameters<typeof creation>): string => {
    const made = creation(...what)
    operations.push(made)
    return made.id ?? ''
  }
  const virtualIp =
    known.find((one) => one.address === address)?.id ?? create('virtual_ips', { name: address, address })
  let pool: string
  if ('id' in wanted.pool) {
    pool = wanted.pool.id
  } else {
    const { members, algorithm, monitors, watch } = wanted.pool
    const watching = watch && mode.split(' ')[0] !== 'udp' ? [create('monitors', watcher(name, mode))] : monitors
    const protocol = MODES[mode].protocol === 'udp' ? 'udp' : 'tcp'
    pool = create('pools', { name, protocol, algorithm, monitor_ids: watching })
    for (const member of members) create('members', member, pool)
  }
  create('virtual_services', {
    name,
    virtual_ip_ids: [virtualIp],
    ...MODES[mode],
    port,
    default_pool_id: pool,
    ...(tls === null ? {} : { tls: { certificate_ids: tls.ids, min_version: tls.min_version } }),
    ...more,
  })
  return operations
}

/** A check that suits what the members speak. */
function watcher(name: string, mode: Mode): object {
  return hasRequests(MODES[mode]) ? { name, kind: 'http' } : { name, kind: 'tcp' }
}

/** Where in the form stands what is wrong with an edit. */
const FIELDS: Record<string, Record<string, string>> = {
  virtual_ips: { '': '/address' },
  monitors: { '': '/watch' },
  pools: { algorithm: '/algorithm', monitor_ids: '/monitor_ids', '': '/name' },
  members: { '': '/members' },
  virtual_services: { virtual_ip_ids: '/address', default_pool_id: '/default_pool_id' },
}

/** The same problem, said of the form. */
function ofForm(error: unknown, operations: readonly Operation[]): unknown {
  if (!(error instanceof ApiProblem)) return error
  const errors = error.errors.map((fault) => {
    const [, , index, , ...rest] = fault.pointer.split('/')
    const resource = operations[Number(index)]?.resource ?? ''
    const names = FIELDS[resource]
    const pointer = names?.[rest[0] ?? ''] ?? names?.[''] ?? `/${rest.join('/')}`
    return { ...fault, pointer }
  })
  return new ApiProblem(error.status, error.code, error.detail, error.requestId, errors)
}

/** Applies edits as one; what could not be applied leaves nothing behind. */
async function applied(name: string, operations: readonly Operation[]) {
  const { id } = await changesets.create({ name: `${name} ${crypto.randomUUID()}`, operations: [...operations] })
  const params = { path: { id }, header: { 'If-Match': '*' } }
  try {
    await answer(api.POST('/api/v1/changesets/{id}/apply', { params }))
  } catch (error) {
    await changesets.remove(id, '*').catch(() => {})
    throw ofForm(error, operations)
  }
}

/** Makes it, and gives its identifier. */
export async function createService(
  wanted: NewService,
  known: readonly VirtualIp[],
  certificate: NewCertificate | null,
) {
  const made = certificate === null ? null : await certificates.create(certificate as never)
  const ids = [...(made === null ? [] : [made.id]), ...(wanted.tls?.ids ?? [])]
  const operations = operationsOf(wanted.tls === null ? wanted : { ...wanted, tls: { ...wanted.tls, ids } }, known)
  try {
    await applied(wanted.name, operations)
  } catch (error) {
    if (made !== null) await certificates.remove(made.id, '*').catch(() => {})
    throw error
  }
  return { id: operations.at(-1)?.id ?? '', operations, certificate: made?.id ?? null }
}

/** Stands for the certificate that goes before, where others name it. */
const OWN = variable('CERTIFICATE')

export const withOwn = (wanted: NewService, certificate: NewCertificate | null): NewService =>
  wanted.tls === null || certificate === null ? wanted : { ...wanted, tls: { ...wanted.tls, ids: [OWN] } }

const VARIABLES: Record<string, string> = { virtual_ips: 'VIP', monitors: 'MONITOR', pools: 'POOL' }

/** The same, step by step: what is created takes a variable by which the next steps name it. */
export function scriptOf(operations: readonly Operation[], certificate: NewCertificate | null): ApiCall[] {
  const names = new Map(
    operations.flatMap(({ id, resource }) => (VARIABLES[resource] ? [[id, VARIABLES[resource]]] : [])),
  )
  const renamed = (value: unknown): unknown =>
    JSON.parse(
      JSON.stringify(value, (_, one: unknown) => {
        const name = typeof one === 'string' ? names.get(one) : undefined
        return name === undefined ? one : variable(name)
      }),
    )
  const calls = operations.map(({ id, resource, parent_id, document }): ApiCall => {
    const name = names.get(id)
    const parent = names.get(parent_id) ?? ''
    const url = resource === 'members' ? `pools/${variable(parent)}/members` : resource.replaceAll('_', '-')
    return {
      method: 'POST',
      url: `/api/v1/${url}`,
      body: renamed(document),
      ...(name === undefined ? {} : { as: name }),
    }
  })
  if (certificate === null) return calls
  const body = { ...certificate, private_key: '…' }
  return [{ method: 'POST', url: '/api/v1/certificates', body, as: 'CERTIFICATE' }, ...calls]
}
