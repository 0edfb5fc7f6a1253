/** What fields of many resources have in common. */
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import type { TextKey } from '../i18n/index.ts'
import type { Choice, Field } from '../ui/form/fields.ts'

export const NAME: Field = { path: 'name', kind: 'text', label: 'field.name', required: true }
export const ENABLED: Field = {
  path: 'enabled',
  kind: 'switch',
  label: 'field.enabled',
  help: 'help.enabled',
  usual: true,
}
export const ABOUT: readonly Field[] = [
  { path: 'description', kind: 'text', label: 'field.description', help: 'help.description', advanced: true },
  { path: 'tags', kind: 'tags', label: 'field.tags', help: 'help.tags', advanced: true },
]

export const port = (label: TextKey): Field => ({
  path: 'port',
  kind: 'number',
  label,
  min: 1,
  max: 65535,
  required: true,
  beside: true,
})

/** The keys of the dictionary under which words of the API are called something. */
type WordKey =
  | 'algorithm'
  | 'belowMinHealthy'
  | 'compare'
  | 'decision'
  | 'ended'
  | 'headerVerb'
  | 'limitKey'
  | 'memberState'
  | 'monitorsNeeded'
  | 'pathCompare'
  | 'persistence'
  | 'proxyProtocol'
  | 'replicationRole'
  | 'role'
  | 'subject'
  | 'unserved'

/** Words of the API with what they are called here. */
export function useWords<Word extends string>(key: WordKey, words: readonly Word[]): Choice[] {
  const { t } = useTranslation()
  return useMemo(() => words.map((word) => ({ value: word, label: t(`${key}.${word}` as TextKey) })), [t, key, words])
}

/** Words that are called the same everywhere. */
export const plain = (words: readonly string[]): Choice[] => words.map((value) => ({ value, label: value }))

/** For a choice among resources. */
export const named = (some: readonly { id: string; name: string }[] | undefined): Choice[] =>
  (some ?? []).map(({ id, name }) => ({ value: id, label: name }))

/** A text that mostly comes from a file. */
export const PEM = { kind: 'file', accept: '.pem,.crt,.cer,.key,.txt' } as const
export const CERTIFICATE = '-----BEGIN CERTIFICATE-----'
