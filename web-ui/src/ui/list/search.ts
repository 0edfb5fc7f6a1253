/** What the address of a list says of what is shown: a list looks the same to whoever opens its address. */
export interface ListSearch {
  q?: string | undefined
  /** One of the filters that the list offers. */
  show?: string | undefined
  /** A column, with `:desc` if the greatest comes first. */
  sort?: string | undefined
  create?: true | undefined
}

export function listSearch(search: Record<string, unknown>): ListSearch {
  const text = (key: string) => {
    const value = search[key]
    return (typeof value === 'string' || typeof value === 'number') && value !== '' ? { [key]: String(value) } : {}
  }
  return { ...text('q'), ...text('show'), ...text('sort'), ...(search.create === true ? { create: true } : {}) }
}
