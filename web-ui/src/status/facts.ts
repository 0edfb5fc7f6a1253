/**
 * The three facts about a resource that are never mixed: what the operator wants (admin), whether it serves (health), and
 * whether the last change is forwarded (sync).
 */
import type { Member, Schemas, VirtualService } from '../api/client.ts'

export type Admin = 'enabled' | 'draining' | 'disabled'
export type Health = 'unknown' | 'draining' | 'down' | 'off'
export type Sync = Schemas['Provisioning']
/** Why the health is what it is, as a key of the dictionary. */
export type Reason = 'noPool' | 'noMember' | 'unmonitored' | 'disabled' | 'draining'

export interface Facts {
  admin: Admin
  health: Health
  sync: Sync
  reason: Reason
}

export const takesConnections = (member: Member) => member.enabled && member.state === 'enabled'

export function memberAdmin(member: Member): Admin {
  if (!member.enabled || member.state === 'disabled') return 'disabled'
  return member.state === 'drain' ? 'draining' : 'enabled'
}

function operating(status: Schemas['Operating'], admin: Admin): [Health, Reason] {
  switch (status) {
    case 'unknown':
      return ['unknown', 'unmonitored']
    case 'draining':
      return ['draining', 'draining']
    case 'offline':
      return admin === 'disabled' ? ['off', 'disabled'] : ['down', 'noMember']
  }
}

/** Of a service; `members` is what its pool has, undefined while that is not known. */
export function serviceFacts(service: VirtualService, members: readonly Member[] | undefined): Facts {
  const admin = service.enabled ? 'enabled' : 'disabled'
  const sync = service.provisioning_status
  if (admin === 'disabled') return { admin, health: 'off', sync, reason: 'disabled' }
  if (service.default_pool_id === null) return { admin, health: 'down', sync, reason: 'noPool' }
  if (members !== undefined && !members.some(takesConnections))
    return { admin, health: 'down', sync, reason: 'noMember' }
  const [health, reason] = operating(service.operating_status, admin)
  return { admin, health, sync, reason }
}

export function memberFacts(member: Member): Facts {
  const admin = memberAdmin(member)
  const [health, reason] = operating(member.operating_status, admin)
  return { admin, health, sync: member.provisioning_status, reason }
}

/** What somebody should look at, worst first. */
export const needsAttention = ({ health, sync }: Facts) => health === 'down' || sync !== 'applied'

const HEALTH_ORDER: readonly Health[] = ['down', 'draining', 'unknown', 'off']
const SYNC_ORDER: readonly Sync[] = ['failed', 'pending', 'applied']

/** For sorting: smaller is worse. */
export const severity = ({ health, sync }: Facts) => HEALTH_ORDER.indexOf(health) * 4 + SYNC_ORDER.indexOf(sync)
