/** What all resources have in common: one code lists, reads, creates, changes and deletes each of them. */
import type { paths } from './generated/schema.d.ts'
import { answer, answerWithTag, api } from './client.ts'

type Json<T> = T extends { content: { 'application/json': infer Body } } ? Body : never
export type ListOf<P extends keyof paths> = paths[P] extends { get: { responses: { 200: infer Answer } } }
  ? Json<Answer>
  : never

/** The addresses of the API that list resources which can be created. */
export type CollectionPath = {
  [P in keyof paths]: ListOf<P> extends { items: unknown[] }
    ? paths[P] extends { post: { requestBody: unknown } }
      ? P
      : never
    : never
}[keyof paths]

export type ViewOf<P extends CollectionPath> = ListOf<P> extends { items: (infer View)[] } ? View : never
export type SpecOf<P extends CollectionPath> = paths[P] extends { post: { requestBody: infer Body } }
  ? Json<Body>
  : never

export interface ListQuery {
  limit?: number
  cursor?: string
  sort?: string
  [filter: string]: string | number | boolean | undefined
}

export interface Page<View> {
  items: View[]
  next?: string | null
}

export interface Collection<View = unknown, Spec = unknown> {
  /** Begins the key of every query of it. */
  key: string
  /** What its resources are called in the configuration document. */
  kind: string
  /** What it belongs to, if anything. */
  parentId: string | null
  /** Its address, with the identifiers of what it belongs to. */
  url: string
  /** What is sent, from what a form says, where these differ. */
  shape?: (document: object) => object
  list(query: ListQuery, signal?: AbortSignal): Promise<Page<View>>
  read(id: string, signal?: AbortSignal): Promise<{ view: View; etag: string }>
  create(body: Spec): Promise<View>
  /** A merge patch of what was read with this ETag. */
  patch(id: string, body: Partial<Spec>, etag: string): Promise<View>
  remove(id: string, etag: string): Promise<void>
}

/** The collection at `path`, of the owner that `owner` names where it needs one. */
export function collection<P extends CollectionPath>(
  path: P,
  owner: Record<string, string> = {},
): Collection<ViewOf<P>, SpecOf<P>> {
  type View = ViewOf<P>
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => owner[name] ?? '')
  const item = `${path}/{id}`
  // The generated types know each path for itself; here one stands for all of them.
  const at = (id: string, etag?: string) => ({
    params: { path: { ...owner, id }, ...(etag === undefined ? {} : { header: { 'If-Match': etag } }) },
  })
  const call = (method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, init: object) =>
    (api[method] as (path: string, init: object) => Promise<{ data?: unknown; error?: unknown; response: Response }>)(
      path,
      init,
    )
  return {
    key: path.split('/').at(-1) ?? path,
    kind: (path.split('/').at(-1) ?? path).replaceAll('-', '_'),
    parentId: Object.values(owner)[0] ?? null,
    url: filled,
    list: (query, signal) =>
      answer(call('GET', path, { params: { path: owner, query }, signal })) as Promise<Page<View>>,
    read: async (id, signal) => {
      const { data, etag } = await answerWithTag(call('GET', item, { ...at(id), signal }))
      return { view: data as View, etag }
    },
    create: (body) => answer(call('POST', path, { params: { path: owner }, body })) as Promise<View>,
    patch: (id, body, etag) => answer(call('PATCH', item, { ...at(id, etag), body })) as Promise<View>,
    remove: async (id, etag) => void (await answer(call('DELETE', item, at(id, etag)))),
  }
}

/** The cursor in the address of the next page. */
export function cursorOf({ next }: Page<unknown>): string | undefined {
  return next ? (new URL(next, 'http://page').searchParams.get('cursor') ?? undefined) : undefined
}
