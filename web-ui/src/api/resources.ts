/** The resources that the console shows. */
import { collection } from './collection.ts'

export const services = collection('/api/v1/virtual-services')
export const virtualIps = collection('/api/v1/virtual-ips')
export const pools = collection('/api/v1/pools')
export const monitors = collection('/api/v1/monitors')
export const certificates = collection('/api/v1/certificates')
export const users = collection('/api/v1/users')
export const projects = collection('/api/v1/projects')
export const webhooks = collection('/api/v1/webhooks')
export const changesets = collection('/api/v1/changesets')
export const tokensOf = (userId: string) => collection('/api/v1/users/{user_id}/tokens', { user_id: userId })
export const membersOf = (poolId: string) => collection('/api/v1/pools/{pool_id}/members', { pool_id: poolId })

/** What is done with a request: each has its own part of the document, and the others must not be there. */
export const DECISIONS = ['pools', 'redirect', 'respond', 'reject'] as const
export type Decision = 'none' | (typeof DECISIONS)[number]

const plain = collection('/api/v1/policies')
type Policy = Awaited<ReturnType<typeof plain.create>>

export const decisionOf = (policy: Policy): Decision =>
  policy.pools.length > 0 ? 'pools' : (DECISIONS.find((one) => one !== 'pools' && policy[one] !== null) ?? 'none')

/** In its form a policy says by one word what it decides. */
export const policies: typeof plain = {
  ...plain,
  read: async (id, signal) => {
    const { view, etag } = await plain.read(id, signal)
    return { view: { ...view, decision: decisionOf(view) }, etag }
  },
  shape: (document) => {
    const { decision, ...rest } = document as { decision?: Decision } & Record<string, unknown>
    if (decision === undefined) {
      // The parts that are not chosen come as emptied objects, which would be decisions.
      return Object.fromEntries(Object.entries(rest).filter(([key, value]) => !isEmptied(key, value)))
    }
    for (const one of DECISIONS) {
      if (one === decision) rest[one] ??= {}
      else rest[one] = one === 'pools' ? [] : null
    }
    return rest
  },
}

const isEmptied = (key: string, value: unknown) =>
  (DECISIONS as readonly string[]).includes(key) &&
  typeof value === 'object' &&
  value !== null &&
  !Array.isArray(value) &&
  Object.values(value).every((one) => one === null)
