/** The whole configuration as a text, which people keep and edit: JSON or YAML. */
import type { Applied, Schemas } from './client.ts'
import { answer, answerWithTag, api } from './client.ts'

export type Format = 'json' | 'yaml'
const TYPES: Record<Format, string> = { json: 'application/json', yaml: 'application/yaml' }

/** With identifiers it belongs to this appliance; without, references are by name. */
export async function exported(format: Format, ids: boolean): Promise<string> {
  const asked = api.GET('/api/v1/config', {
    params: { query: { ids } },
    headers: { Accept: TYPES[format] },
    parseAs: 'text',
  })
  const text = (await answer(asked)) as unknown as string
  return format === 'json' ? `${JSON.stringify(JSON.parse(text), null, 2)}\n` : text
}

export const formatOf = (text: string): Format => (text.trimStart().startsWith('{') ? 'json' : 'yaml')

interface Manner {
  dry_run?: boolean
  comment?: string
  confirm_within?: number
}

/** Replaces everything, if it is still what `etag` stands for. */
export async function replaceAll(text: string, etag: string, manner: Manner): Promise<{ data: Applied; etag: string }> {
  return answerWithTag(
    api.PUT('/api/v1/config', {
      params: { query: manner, header: { 'If-Match': etag } },
      headers: { 'Content-Type': TYPES[formatOf(text)] },
      body: text as unknown as Schemas['Configuration'],
      bodySerializer: (body) => body as unknown as string,
    }),
  )
}
