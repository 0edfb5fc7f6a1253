/**
 * Forms as data: what can be written of a resource, field by field. From it come the form, what is sent, where the server's
 * faults are shown, and the names in a conflict.
 */
import type { TextKey } from '../../i18n/index.ts'

export interface Choice {
  value: string
  label: string
}

interface Base {
  /** Where it stands in the document: `timeouts.idle_s`. */
  path: string
  label: TextKey
  help?: TextKey
  required?: boolean
  /** Beside the field before it. */
  beside?: boolean
  /** Folded away until somebody wants it. */
  advanced?: boolean
  /** Only there while this holds; otherwise it is not sent. */
  when?: (values: Values) => boolean
  /** What the server takes if nothing is said. */
  usual?: Value
  /** Without it the whole object that it stands in is null: `persistence.kind`. */
  whole?: boolean
  placeholder?: string
}

/** A value of each object of a list. */
export interface RowColumn {
  key: string
  label: TextKey
  kind: 'text' | 'number' | 'choice' | 'tags' | 'switch'
  choices?: readonly Choice[]
  /** What a new object has. */
  first?: unknown
  when?: (row: Record<string, unknown>) => boolean
}

export type Field = Base &
  (
    | { kind: 'text' | 'mono' | 'long' | 'switch' }
    // Words or, where it says so, numbers.
    | { kind: 'tags'; numbers?: boolean }
    // Whether there is an object at all, which other fields stand in.
    | { kind: 'part' }
    // Never read back: empty means unchanged.
    | { kind: 'secret' }
    | { kind: 'lines'; placeholder?: string }
    // Objects, each as JSON.
    | { kind: 'rows'; columns: readonly RowColumn[] }
    // A text that mostly comes from a file; one that is secret is never read back.
    | { kind: 'file'; accept: string; secret?: boolean }
    | { kind: 'number'; min: number; max: number; unit?: string; optional?: boolean; decimals?: boolean }
    | { kind: 'choice'; choices: readonly Choice[]; optional?: boolean }
    | { kind: 'several'; choices: readonly Choice[] }
    | { kind: 'suggested'; choices: readonly string[] }
  )

export type Value = string | number | boolean | null | readonly string[]
/** By path. */
export type Values = Record<string, Value>

type Document = Record<string, unknown>

export function at(document: unknown, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => (value as Document | null | undefined)?.[key], document)
}

function put(document: Document, path: string, value: unknown) {
  const keys = path.split('.')
  const last = keys.pop() ?? ''
  let inner = document
  for (const key of keys) inner = (inner[key] ??= {}) as Document
  inner[last] = value
}

/** What a field has before anybody writes something. */
export function blank(field: Field): Value {
  if (field.usual !== undefined) return field.usual
  switch (field.kind) {
    case 'tags':
    case 'rows':
    case 'lines':
    case 'several':
      return []
    case 'switch':
    case 'part':
      return false
    case 'number':
    case 'choice':
      return null
    default:
      return ''
  }
}

/** The values of a document that was read. */
export function valuesOf(fields: readonly Field[], document: unknown): Values {
  return Object.fromEntries(
    fields.map((field) => {
      const value = at(document, field.path)
      if (field.kind === 'rows')
        return [field.path, ((value as unknown[] | undefined) ?? []).map((one) => JSON.stringify(one))]
      if (field.kind === 'part') return [field.path, value !== undefined && value !== null]
      if (field.kind === 'tags' && Array.isArray(value)) return [field.path, value.map(String)]
      return [field.path, value === undefined || value === null ? blank(field) : (value as Value)]
    }),
  )
}

const isThere = (field: Field, values: Values) => field.when?.(values) ?? true

/** The object that is there or not as this field says. */
const partOf = (field: Field): string | undefined =>
  field.kind === 'part'
    ? field.path
    : field.whole === true
      ? field.path.slice(0, field.path.lastIndexOf('.'))
      : undefined

const isEmpty = (value: unknown) => value === null || value === '' || (Array.isArray(value) && value.length === 0)

/** The objects that these values have. */
function parts(fields: readonly Field[], values: Values): Set<string> {
  const there = fields.filter((field) => {
    if (partOf(field) === undefined || !isThere(field, values)) return false
    const value = written(field, values)
    return field.kind === 'part' ? value !== null : !isEmpty(value)
  })
  return new Set(there.map((field) => partOf(field) ?? ''))
}

const within = (path: string, objects: Iterable<string>) =>
  [...objects].some((object) => path === object || path.startsWith(`${object}.`))

/** What is sent for a field: an empty choice or number is null, which is the server's default. */
function written(field: Field, values: Values): unknown {
  const value = values[field.path] ?? blank(field)
  if (field.kind === 'secret') return String(value) || null
  if (field.kind === 'file') return String(value).trim() === '' ? null : `${String(value).trim()}\n`
  if (field.kind === 'mono' || field.kind === 'suggested') return String(value).trim() || null
  if (field.kind === 'text') return String(value).trim()
  if (field.kind === 'part') return value === true ? {} : null
  if (field.kind === 'tags' && field.numbers === true)
    return (value as readonly string[]).map((text) => (/^\d+$/.test(text) ? Number(text) : text))
  if (field.kind === 'rows') return (value as readonly string[]).map((text) => JSON.parse(text) as unknown)
  if (field.kind === 'lines')
    return (value as readonly string[]).map((line) => line.trim()).filter((line) => line !== '')
  return value
}

/** A whole new document; what is empty and not asked for is left to the server's defaults. */
export function created(fields: readonly Field[], values: Values): Document {
  const document: Document = {}
  const has = parts(fields, values)
  const lacking = fields.flatMap((field) => partOf(field) ?? []).filter((part) => !has.has(part))
  for (const field of fields) {
    if (!isThere(field, values)) continue
    const value = written(field, values)
    // What is wanted and missing is said by the server, at its field.
    if (within(field.path, lacking) && !field.required) continue
    if (!isEmpty(value) || field.required) put(document, field.path, value)
  }
  return document
}

/** A document as it may stand on a screen: without what is secret. */
export function shown(fields: readonly Field[], document: object): object {
  const secret = fields.filter((field) => field.kind === 'secret' || (field.kind === 'file' && field.secret === true))
  const hidden = secret.flatMap(({ path }) => (path in document ? [[path, '…']] : []))
  return { ...document, ...Object.fromEntries(hidden) }
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)

/** The fields in which two sets of values differ. */
export function changedFields(fields: readonly Field[], before: Values, after: Values): Field[] {
  return fields.filter((field) => {
    const [was, is] = [isThere(field, before), isThere(field, after)]
    if (was !== is) return true
    return is && !same(written(field, before), written(field, after))
  })
}

/** The merge patch (RFC 7396) that leads from one set of values to the other. */
export function patched(fields: readonly Field[], before: Values, after: Values): Document {
  const document: Document = {}
  const has = parts(fields, after)
  const gone = [...parts(fields, before)].filter((part) => !has.has(part))
  for (const field of changedFields(fields, before, after)) {
    if (within(field.path, gone)) continue
    put(document, field.path, isThere(field, after) ? written(field, after) : null)
  }
  // What stood in an object that is gone itself is gone with it.
  const outermost = gone.filter(
    (part) =>
      !within(
        part,
        gone.filter((other) => other !== part),
      ),
  )
  for (const part of outermost) put(document, part, null)
  return document
}

/** The first thing that is wrong with each field, as a key of `fault`; the server decides about the rest. */
export function faultsOf(fields: readonly Field[], values: Values): Record<string, string> {
  const faults: Record<string, string> = {}
  for (const field of fields) {
    if (!isThere(field, values)) continue
    const value = written(field, values)
    const empty = isEmpty(value)
    if (field.required && empty) faults[field.path] = 'required'
    else if (field.kind === 'number' && !empty && !inRange(Number(value), field)) faults[field.path] = 'range'
    else if (field.kind === 'number' && empty && !field.optional) faults[field.path] = 'required'
  }
  return faults
}

function inRange(value: number, { min, max, decimals }: Extract<Field, { kind: 'number' }>): boolean {
  return (decimals === true ? Number.isFinite(value) : Number.isInteger(value)) && value >= min && value <= max
}

/** The field that a JSON pointer of the server leads to, or into. */
export function fieldAt(fields: readonly Field[], pointer: string): Field | undefined {
  const path = pointer.replace(/^\//, '').replaceAll('/', '.')
  return fields
    .filter((field) => path === field.path || path.startsWith(`${field.path}.`) || field.path.startsWith(`${path}.`))
    .sort((a, b) => b.path.length - a.path.length)[0]
}

export interface Difference {
  field: Field
  base: Value
  mine: Value
  theirs: Value
}

/** What somebody else changed meanwhile: in what I changed too (`both`), or elsewhere (`theirs`). */
export function compared(fields: readonly Field[], base: Values, mine: Values, theirs: Values) {
  const difference = (field: Field): Difference => {
    const of = (values: Values) => values[field.path] ?? blank(field)
    return { field, base: of(base), mine: of(mine), theirs: of(theirs) }
  }
  const ours = new Set(changedFields(fields, base, mine))
  const changed = changedFields(fields, base, theirs)
  const differing = new Set(changedFields(fields, mine, theirs))
  return {
    both: changed.filter((field) => ours.has(field) && differing.has(field)).map(difference),
    theirs: changed.filter((field) => !ours.has(field)).map(difference),
  }
}
