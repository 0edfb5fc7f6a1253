/** Reads these words out of an address, those that are there. */
export const textsOf =
  <Search>(keys: readonly (keyof Search & string)[]) =>
  (search: Record<string, unknown>): Search =>
    Object.fromEntries(keys.flatMap((key) => (typeof search[key] === 'string' ? [[key, search[key]]] : []))) as Search
