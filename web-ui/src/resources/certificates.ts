/** What can be written of certificates, and how one is chosen. */
import { useQuery } from '@tanstack/react-query'
import { certificatesQuery } from '../api/queries.ts'
import type { Choice, Field } from '../ui/form/fields.ts'
import { ABOUT, CERTIFICATE, ENABLED, NAME, PEM } from './base.ts'

export const TLS_VERSIONS: readonly Choice[] = [
  { value: '1.2', label: 'TLS 1.2' },
  { value: '1.3', label: 'TLS 1.3' },
]

export const useCertificateChoices = (): Choice[] => {
  const { data } = useQuery(certificatesQuery)
  return (data ?? []).map(({ id, name, names }) => ({
    value: id,
    label: names[0] === undefined || names[0] === name ? name : `${name} · ${names[0]}`,
  }))
}

/** A key that is not given stays as it is. */
export const certificateFields = (needsKey: boolean): readonly Field[] => [
  NAME,
  {
    path: 'chain',
    label: 'field.chain',
    help: 'help.chain',
    required: true,
    placeholder: CERTIFICATE,
    ...PEM,
  },
  {
    path: 'private_key',
    label: 'field.privateKey',
    help: needsKey ? 'help.privateKey' : 'help.privateKeyKept',
    required: needsKey,
    placeholder: '-----BEGIN PRIVATE KEY-----',
    ...PEM,
    secret: true,
  },
  { ...ENABLED, advanced: true },
  ...ABOUT,
]
