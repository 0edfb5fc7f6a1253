/** What can be written of who is told of events. */
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
  { path: 'secret', kind: 'secret', label: 'field.webhookSecret', help: 'help.webhookSecret', advanced: true },
  { path: 'ca', ...PEM, label: 'field.ca', help: 'help.webhookCa', placeholder: CERTIFICATE, advanced: true },
  ENABLED,
  ...ABOUT,
]
