import { textsOf } from '../../app/search.ts'

/** What the list of requests can be asked for, in its address. */
export interface RequestSearch {
  virtual_service_id?: string | undefined
  pool_id?: string | undefined
  member_id?: string | undefined
  client?: string | undefined
  status?: string | undefined
  ending?: string | undefined
}

export const requestSearch = textsOf<RequestSearch>([
  'virtual_service_id',
  'pool_id',
  'member_id',
  'client',
  'status',
  'ending',
])
