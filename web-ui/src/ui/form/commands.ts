/** What a form does, to paste into a script: as calls of the API, and as commands of `penstock`. */

export interface ApiCall {
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  url: string
  body?: unknown
  etag?: string
  /** A variable that takes the identifier of what it creates; other calls name it `$…`. */
  as?: string
}

/** In single quotes, but for variables. */
const quoted = (text: string) =>
  `'${text.replaceAll("'", "'\\''").replace(/\$\{(\w+)\}/g, (_, name: string) => `'"$${name}"'`)}'`
const document = (body: unknown) => quoted(JSON.stringify(body, null, 2))
const path = (url: string) => url.replace(/\$\{(\w+)\}/g, '$$$1')

/** What stands for a variable in an address or a document. */
export const variable = (name: string) => `\${${name}}`

function curl({ method, url, body, etag, as }: ApiCall): string {
  const lines = [`curl -s -X ${method} "${location.origin}${path(url)}"`, `-H "Authorization: Bearer $TOKEN"`]
  if (etag !== undefined) lines.push(`-H ${quoted(`If-Match: ${etag}`)}`)
  if (body !== undefined) lines.push(`--json ${document(body)}`)
  const call = lines.join(' \\\n  ')
  return as === undefined ? call : `${as}=$(${call} | jq -r .id)`
}

const VERBS = { GET: 'get', POST: 'create', PATCH: 'patch', DELETE: 'delete' } as const

function command({ method, url, body, as }: ApiCall): string {
  const resource = path(url.replace('/api/v1/', ''))
  const words = ['penstock', ...(as === undefined ? [] : ['-o json']), VERBS[method], `"${resource}"`]
  if (body !== undefined) words.push(document(body))
  return as === undefined ? words.join(' ') : `${as}=$(${words.join(' ')} | jq -r .id)`
}

export const asCurl = (calls: readonly ApiCall[]) => calls.map(curl).join('\n\n')
export const asCommands = (calls: readonly ApiCall[]) => calls.map(command).join('\n\n')
