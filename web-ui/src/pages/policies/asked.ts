import type { Schemas } from '../../api/client.ts'

const SIGNS = { exact: '=', prefix: '^', suffix: '$', contains: '∋', regex: '~', present: '?', network: '∈' } as const

/** A question about a request, in few words. */
export function asked({ kind, key, compare, values, invert }: Schemas['PolicyRule']): string {
  const subject = key ? `${kind} ${key}` : kind
  return `${invert ? '! ' : ''}${subject} ${SIGNS[compare ?? 'exact']} ${(values ?? []).join(' | ')}`.trim()
}
