/** What can be written of projects. */
import type { TextKey } from '../i18n/index.ts'
import type { Field } from '../ui/form/fields.ts'
import { ABOUT, ENABLED, NAME } from './base.ts'

/** What a project has a quota of, with the word for it. */
export const QUOTAS = [
  ['virtual_services', 'nav.services'],
  ['virtual_ips', 'nav.vips'],
  ['pools', 'nav.pools'],
  ['members', 'detail.members'],
  ['monitors', 'nav.monitors'],
  ['policies', 'nav.policies'],
  ['certificates', 'nav.certificates'],
] as const satisfies readonly (readonly [string, TextKey])[]

export const projectFields: readonly Field[] = [
  NAME,
  ...QUOTAS.map(([kind, label], index): Field => ({
    path: `quotas.${kind}`,
    kind: 'number',
    label,
    ...(index === 0 && { help: 'help.quotas' }),
    min: 0,
    max: 1_000_000,
    optional: true,
    beside: index % 2 === 1,
  })),
  ENABLED,
  ...ABOUT,
]
