/** The API's own description (OpenAPI 3.1), as far as the reference shows it. */

export interface Schema {
  $ref?: string
  type?: string | string[]
  description?: string
  properties?: Record<string, Schema>
  required?: string[]
  items?: Schema
  oneOf?: Schema[]
  anyOf?: Schema[]
  enum?: unknown[]
  default?: unknown
  example?: unknown
  minimum?: number
  maximum?: number
  maxLength?: number
}

interface Parameter {
  name: string
  in: string
  required?: boolean
  description?: string
  schema: Schema
}

interface Operation {
  tags: string[]
  summary?: string
  description?: string
  operationId: string
  parameters?: Parameter[]
  requestBody?: { content: Record<string, { schema: Schema; example?: unknown }> }
  responses: Record<string, { $ref?: string; description?: string; content?: Record<string, { schema: Schema }> }>
  'x-permission'?: string
}

export interface Description {
  info: { version: string }
  tags: { name: string; description: string }[]
  paths: Record<string, Record<string, Operation>>
  components: { schemas: Record<string, Schema> }
}

export interface Call extends Operation {
  method: string
  path: string
}

/** All calls, in the order in which they are described. */
export const callsOf = ({ paths }: Description): Call[] =>
  Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, operation]) => typeof operation === 'object' && 'operationId' in operation)
      .map(([method, operation]) => ({ ...operation, method: method.toUpperCase(), path })),
  )

const nameOf = ($ref: string) => $ref.split('/').at(-1) ?? $ref

/** A value that can be sent or comes back, with its way from the top. */
export interface Row {
  path: string
  type: string
  required: boolean
  description: string
}

const DEEPEST = 4

/** Every value in a schema; objects in objects by their way. */
export function rowsOf(schemas: Description['components']['schemas'], schema: Schema, before = '', depth = 0): Row[] {
  const { properties = {}, required = [] } = objectOf(schemas, schema)
  return Object.entries(properties).flatMap(([key, inner]) => {
    const path = `${before}${key}`
    const row = {
      path,
      type: typeOf(schemas, inner),
      required: required.includes(key),
      description: sayOf(schemas, inner),
    }
    const many = inner.items !== undefined
    const deeper =
      depth + 1 < DEEPEST ? rowsOf(schemas, inner.items ?? inner, `${path}${many ? '[]' : ''}.`, depth + 1) : []
    return [row, ...deeper]
  })
}

/** Behind names, and what is not null of what may be null; of several shapes the values of all. */
function objectOf(schemas: Description['components']['schemas'], schema: Schema): Schema {
  if (schema.$ref !== undefined) return objectOf(schemas, schemas[nameOf(schema.$ref)] ?? {})
  const ways = (schema.oneOf ?? schema.anyOf)?.map((one) => objectOf(schemas, one))
  if (ways === undefined) return schema
  return { properties: Object.assign({}, ...ways.map(({ properties = {} }) => properties)) as Record<string, Schema> }
}

const sayOf = (schemas: Description['components']['schemas'], schema: Schema): string =>
  schema.description ??
  schema.oneOf?.map(({ description }) => description).find(Boolean) ??
  (schema.$ref === undefined ? '' : (schemas[nameOf(schema.$ref)]?.description ?? ''))

/** A type in few words, with its limits. */
export function typeOf(schemas: Description['components']['schemas'], schema: Schema): string {
  if (schema.$ref !== undefined) return typeOf(schemas, schemas[nameOf(schema.$ref)] ?? {})
  const ways = schema.oneOf ?? schema.anyOf
  if (ways !== undefined) return [...new Set(ways.map((one) => typeOf(schemas, one)))].join(' | ')
  if (schema.enum !== undefined) return schema.enum.map((one) => JSON.stringify(one)).join(' | ')
  if (schema.items !== undefined) return `[${typeOf(schemas, schema.items)}]`
  const type = Array.isArray(schema.type) ? schema.type.join(' | ') : (schema.type ?? 'any')
  const { minimum, maximum, maxLength } = schema
  const limits = [
    minimum !== undefined && maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER && `${minimum}–${maximum}`,
    maxLength !== undefined && `≤ ${maxLength}`,
    schema.default !== undefined && schema.default !== '' && `= ${JSON.stringify(schema.default)}`,
  ].filter(Boolean)
  return [type, ...limits].join(' ')
}
