import { textsOf } from '../../app/search.ts'

/** What the list of connections can be asked for, in its address. */
export interface ConnectionSearch {
  virtual_service_id?: string | undefined
  member_id?: string | undefined
  client?: string | undefined
  protocol?: string | undefined
  state?: string | undefined
}

const KEYS = ['virtual_service_id', 'member_id', 'client', 'protocol', 'state'] as const

export const connectionSearch = textsOf<ConnectionSearch>(KEYS)
