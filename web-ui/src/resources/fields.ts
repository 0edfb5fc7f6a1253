/** What can be written of each resource. */
import { useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { monitorsQuery, poolsQuery, virtualIpsQuery } from '../api/queries.ts'
import type { TextKey } from '../i18n/index.ts'
import type { Choice, Field, Values } from '../ui/form/fields.ts'

const NAME: Field = { path: 'name', kind: 'text', label: 'field.name', required: true }
const ENABLED: Field = { path: 'enabled', kind: 'switch', label: 'field.enabled', help: 'help.enabled' }
const ABOUT: readonly Field[] = [
  { path: 'description', kind: 'text', label: 'field.description', help: 'help.description', advanced: true },
  { path: 'tags', kind: 'tags', label: 'field.tags', help: 'help.tags', advanced: true },
]
const port = (label: TextKey): Field => ({
  path: 'port',
  kind: 'number',
  label,
  min: 1,
  max: 65535,
  required: true,
  beside: true,
})

/** Words of the API with what they are called here. */
function useWords<Word extends string>(key: 'algorithm' | 'memberState' | 'role', words: readonly Word[]): Choice[] {
  const { t } = useTranslation()
  return useMemo(() => words.map((word) => ({ value: word, label: t(`${key}.${word}` as TextKey) })), [t, key, words])
}

export const ALGORITHMS = [
  'round_robin',
  'weighted_round_robin',
  'least_connections',
  'weighted_least_connections',
  'shortest_expected_delay',
  'never_queue',
  'source_hash',
  'source_port_hash',
  'maglev',
  'power_of_two',
  'ordered',
] as const
export const MEMBER_STATES = ['enabled', 'drain', 'disabled'] as const

export const virtualIpFields: readonly Field[] = [
  { path: 'address', kind: 'mono', label: 'field.address', help: 'help.virtualIp', required: true },
  { ...NAME, help: 'help.name' },
  ENABLED,
  ...ABOUT,
]

export function usePoolFields(): readonly Field[] {
  const algorithms = useWords('algorithm', ALGORITHMS)
  const { data: monitors } = useQuery(monitorsQuery)
  return [
    NAME,
    { path: 'algorithm', kind: 'choice', label: 'field.algorithm', help: 'help.algorithm', choices: algorithms },
    {
      path: 'monitor_ids',
      kind: 'several',
      label: 'field.monitors',
      help: 'help.monitors',
      choices: (monitors ?? []).map(({ id, name }) => ({ value: id, label: name })),
    },
    ENABLED,
    ...ABOUT,
  ]
}

export const ROLES = ['admin', 'operator', 'viewer', 'auditor'] as const

export function useUserFields(): readonly Field[] {
  const roles = useWords('role', ROLES)
  return useMemo(
    () => [
      NAME,
      { path: 'role', kind: 'choice', label: 'users.role', help: 'users.roleHelp', choices: roles },
      { path: 'password', kind: 'secret', label: 'claim.password', help: 'claim.passwordHelp', required: true },
      ENABLED,
      ...ABOUT,
    ],
    [roles],
  )
}

const CHECK_KINDS = ['http', 'https', 'tcp', 'tls', 'udp', 'icmp', 'grpc', 'postgres', 'mysql', 'redis'] as const
const CHECK_NAMES: Partial<Record<(typeof CHECK_KINDS)[number], string>> = {
  grpc: 'gRPC',
  postgres: 'PostgreSQL',
  mysql: 'MySQL',
  redis: 'Redis',
}
const isHttp = ({ kind }: Values) => kind === 'http' || kind === 'https'
const isTcp = ({ kind }: Values) => kind === 'tcp' || kind === 'udp'
const MILLISECONDS = { kind: 'number', min: 100, max: 3_600_000, unit: 'ms' } as const
const IN_A_ROW = { kind: 'number', min: 1, max: 100, required: true } as const

export const monitorFields: readonly Field[] = [
  NAME,
  {
    path: 'kind',
    kind: 'choice',
    label: 'field.kind',
    choices: CHECK_KINDS.map((kind) => ({ value: kind, label: CHECK_NAMES[kind] ?? kind.toUpperCase() })),
  },
  { path: 'settings.path', kind: 'mono', label: 'field.path', placeholder: '/health', when: isHttp },
  { path: 'settings.host', kind: 'mono', label: 'field.host', help: 'help.host', when: isHttp },
  { path: 'settings.codes', kind: 'tags', label: 'field.codes', help: 'help.codes', when: isHttp },
  { path: 'settings.body', kind: 'mono', label: 'field.body', help: 'help.body', advanced: true, when: isHttp },
  {
    path: 'settings.headers',
    kind: 'lines',
    label: 'field.headers',
    placeholder: 'X-Probe: penstock',
    advanced: true,
    when: isHttp,
  },
  { path: 'settings.send', kind: 'mono', label: 'field.send', help: 'help.send', when: isTcp },
  { path: 'settings.expect', kind: 'mono', label: 'field.expect', help: 'help.expect', when: isTcp },
  { path: 'interval_ms', label: 'field.interval', required: true, ...MILLISECONDS },
  { path: 'timeout_ms', label: 'field.timeout', optional: true, beside: true, ...MILLISECONDS, min: 10 },
  { path: 'rise', label: 'field.rise', help: 'help.rise', ...IN_A_ROW },
  { path: 'fall', label: 'field.fall', help: 'help.fall', beside: true, ...IN_A_ROW },
  {
    path: 'port',
    kind: 'number',
    label: 'field.checkPort',
    help: 'help.checkPort',
    min: 1,
    max: 65535,
    optional: true,
    advanced: true,
  },
  { path: 'address', kind: 'mono', label: 'field.checkAddress', help: 'help.checkAddress', advanced: true },
  ENABLED,
  ...ABOUT,
]

export function useMemberFields(): readonly Field[] {
  const states = useWords('memberState', MEMBER_STATES)
  return [
    { path: 'address', kind: 'mono', label: 'field.address', required: true },
    port('field.port'),
    { ...NAME, help: 'help.memberName' },
    { path: 'state', kind: 'choice', label: 'field.state', choices: states },
    { path: 'weight', kind: 'number', label: 'field.weight', help: 'help.weight', min: 0, max: 256 },
    {
      path: 'connection_limit',
      kind: 'number',
      label: 'field.connectionLimit',
      help: 'help.connectionLimit',
      min: 1,
      max: 100_000_000,
      optional: true,
      advanced: true,
    },
    { path: 'backup', kind: 'switch', label: 'field.backup', help: 'help.backup', advanced: true },
    ...ABOUT,
  ]
}

export function useServiceFields(): readonly Field[] {
  const { data: pools } = useQuery(poolsQuery)
  const { data: virtualIps } = useQuery(virtualIpsQuery)
  return useMemo(
    () => [
      NAME,
      {
        path: 'virtual_ip_ids',
        kind: 'several',
        label: 'field.virtualIps',
        required: true,
        choices: (virtualIps ?? []).map(({ id, name, address }) => ({
          value: id,
          label: name === address ? address : `${address} · ${name}`,
        })),
      },
      port('field.port'),
      {
        path: 'default_pool_id',
        kind: 'choice',
        label: 'field.pool',
        optional: true,
        choices: (pools ?? []).map(({ id, name }) => ({ value: id, label: name })),
      },
      ENABLED,
      {
        path: 'timeouts.idle_s',
        kind: 'number',
        label: 'field.idle',
        help: 'help.idle',
        min: 1,
        max: 86400,
        unit: 's',
        advanced: true,
      },
      ...ABOUT,
    ],
    [pools, virtualIps],
  )
}
