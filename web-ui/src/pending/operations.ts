/** Edits that wait to be applied together: a later edit of the same resource joins the earlier one. */
import type { Operation } from '../api/client.ts'

type Document = Record<string, unknown>

const isDocument = (value: unknown): value is Document =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A merge patch (RFC 7396) that does what two do, one after the other; with `drop`, the document that the second leads to. */
export function merged(first: Document, second: Document, drop = false): Document {
  const result: Document = { ...first }
  for (const [key, value] of Object.entries(second)) {
    const before = result[key]
    if (isDocument(value)) result[key] = merged(isDocument(before) ? before : {}, value, drop)
    else if (value === null && drop) delete result[key]
    else result[key] = value
  }
  return result
}

/** `operations` with one more. */
export function joined(operations: readonly Operation[], next: Operation): Operation[] {
  const before = operations.find(({ id, resource }) => id === next.id && resource === next.resource)
  if (before === undefined) return [...operations, next]
  const others = operations.filter((one) => one !== before)
  if (next.action === 'delete') {
    // What is not there yet need not be deleted; nor what was to be created in it.
    if (before.action === 'create') return others.filter(({ parent_id }) => parent_id !== next.id)
    return [...others, next]
  }
  const document = merged(
    (before.document ?? {}) as Document,
    (next.document ?? {}) as Document,
    before.action === 'create',
  )
  return operations.map((one) => (one === before ? { ...before, document: document as never } : one))
}
