/** The resources that the console shows. */
import { collection } from './collection.ts'

export const services = collection('/api/v1/virtual-services')
export const virtualIps = collection('/api/v1/virtual-ips')
export const pools = collection('/api/v1/pools')
export const monitors = collection('/api/v1/monitors')
export const certificates = collection('/api/v1/certificates')
export const users = collection('/api/v1/users')
export const changesets = collection('/api/v1/changesets')
export const tokensOf = (userId: string) => collection('/api/v1/users/{user_id}/tokens', { user_id: userId })
export const membersOf = (poolId: string) => collection('/api/v1/pools/{pool_id}/members', { pool_id: poolId })
