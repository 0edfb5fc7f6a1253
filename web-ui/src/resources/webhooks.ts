/** What can be written of who is told of events. Its secret is made here, and may be another. */
import type { Field } from '../ui/form/fields.ts'
import { ABOUT, CERTIFICATE, ENABLED, NAME, PEM } from './base.ts'

export const webhookFields: readonly Field[] = [
  NAME,
  {
    path: 'url',
    kind: 'mono',
    label: 'field.url',
    help: 'help.webhookUrl',
    required: true,
    placeholder: 'https://hooks.example.net/penstock',
  },
  { path: 'events', kind: 'tags', label: 'field.events', help: 'help.webhookEvents', placeholder: 'member.*' },
  { path: 'secret', kind: 'secret', label: 'field.webhookSecret', help: 'help.webhookSecret', required: true },
  { path: 'ca', ...PEM, label: 'field.ca', help: 'help.webhookCa', placeholder: CERTIFICATE, advanced: true },
  ENABLED,
  ...ABOUT,
]

export const changedWebhookFields = webhookFields.map((field) =>
  field.kind === 'secret' ? { ...field, required: false, help: 'help.webhookSecretKept' as const } : field,
)

/** As the API wants it: 32 bytes that nobody can guess. */
export function newSecret(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(32))
  return `whsec_${btoa(String.fromCharCode(...bytes))}`
}
