/**
 * The three facts about a resource that are never mixed: what the operator wants (admin), whether it serves (health), and
 * whether the last change is forwarded (sync).
 */
import type { Member, Pool, Schemas, VirtualService } from '../api/client.ts'

export type Admin = 'enabled' | 'draining' | 'disabled'
export type Health = 'down' | 'degraded' | 'draining' | 'unknown' | 'up' | 'off'
export type Sync = Schemas['Provisioning']
/** Why the health is what it is, as a key of the dictionary. */
export type Reason = 'noPool' | 'noMember' | 'unmonitored' | 'disabled' | 'draining' | 'up' | 'observed'

export interface Facts {
  admin: Admin
  health: Health
  sync: Sync
  reason: Reason
  /** What the appliance says about it, where it says something. */
  words: string | null
}

/** What all resources show of themselves. */
export interface Resource {
  id: string
  name: string
  description: string
  tags: string[]
  enabled: boolean
  generation: number
  provisioning_status: Sync
  operating_status: Schemas['Operating']
  status_reason: string | null
  updated_at: string
}

export function memberAdmin(member: Member): Admin {
  if (!member.enabled || member.state === 'disabled') return 'disabled'
  return member.state === 'drain' ? 'draining' : 'enabled'
}

function health(status: Schemas['Operating'], admin: Admin): [Health, Reason] {
  switch (status) {
    case 'unknown':
      return ['unknown', 'unmonitored']
    case 'online':
      return ['up', 'up']
    case 'degraded':
      return ['degraded', 'observed']
    case 'draining':
      return ['draining', 'draining']
    case 'offline':
      return admin === 'disabled' ? ['off', 'disabled'] : ['down', 'observed']
  }
}

function factsOf(resource: Resource, admin: Admin): Facts {
  const [word, reason] = health(resource.operating_status, admin)
  return { admin, health: word, sync: resource.provisioning_status, reason, words: resource.status_reason }
}

const switched = ({ enabled }: Resource): Admin => (enabled ? 'enabled' : 'disabled')

export function serviceFacts(service: VirtualService): Facts {
  const facts = factsOf(service, switched(service))
  return facts.health === 'down' && service.default_pool_id === null
    ? { ...facts, reason: 'noPool', words: null }
    : facts
}

export const poolFacts = (pool: Pool): Facts => factsOf(pool, switched(pool))
export function memberFacts(member: Member): Facts {
  const facts = factsOf(member, memberAdmin(member))
  // What the last check saw says more than that it failed.
  return facts.health === 'down' ? { ...facts, words: member.last_check?.words ?? facts.words } : facts
}

export const otherFacts = (resource: Resource): Facts => factsOf(resource, switched(resource))

/** Whether new connections can go there, as far as is known. */
export const serves = (health: Health) => health === 'up' || health === 'degraded' || health === 'unknown'

/** What somebody should look at. */
export const needsAttention = ({ health, sync }: Facts) =>
  health === 'down' || health === 'degraded' || sync !== 'applied'

/** Worst first. */
export const HEALTH_ORDER: readonly Health[] = ['down', 'degraded', 'draining', 'unknown', 'off', 'up']
const SYNC_ORDER: readonly Sync[] = ['failed', 'pending', 'applied']

/** For sorting: smaller is worse. */
export const severity = ({ health, sync }: Facts) => HEALTH_ORDER.indexOf(health) * 4 + SYNC_ORDER.indexOf(sync)
