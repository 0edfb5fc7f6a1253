/** What the list of connections can be asked for, in its address. */
export interface ConnectionSearch {
  virtual_service_id?: string | undefined
  member_id?: string | undefined
  client?: string | undefined
  protocol?: string | undefined
  state?: string | undefined
}

const KEYS = ['virtual_service_id', 'member_id', 'client', 'protocol', 'state'] as const

export const connectionSearch = (search: Record<string, unknown>): ConnectionSearch =>
  Object.fromEntries(KEYS.flatMap((key) => (typeof search[key] === 'string' ? [[key, search[key]]] : [])))
