/** What can be written of health checks: each kind has its own settings. */
import { useMemo } from 'react'
import type { Field, Values } from '../ui/form/fields.ts'
import { ABOUT, CERTIFICATE, ENABLED, NAME, PEM, plain, useWords } from './base.ts'
import { HTTP_VERSIONS } from './pools.ts'

const CHECK_KINDS = [
  'http',
  'https',
  'tcp',
  'tls',
  'udp',
  'icmp',
  'grpc',
  'postgres',
  'mysql',
  'redis',
  'agent',
] as const
const CHECK_NAMES: Partial<Record<(typeof CHECK_KINDS)[number], string>> = {
  grpc: 'gRPC',
  postgres: 'PostgreSQL',
  mysql: 'MySQL',
  redis: 'Redis',
  agent: 'Agent',
}
const isHttp = ({ kind }: Values) => kind === 'http' || kind === 'https'
const sends = ({ kind }: Values) => kind === 'tcp' || kind === 'udp' || kind === 'agent'
const expects = ({ kind }: Values) => kind === 'tcp' || kind === 'udp'
const asksByName = ({ kind }: Values) => kind === 'https' || kind === 'tls'
const isDatabase = ({ kind }: Values) => kind === 'postgres' || kind === 'mysql'
const replicates = (values: Values) => isDatabase(values) || values.kind === 'redis'
const is =
  (word: string) =>
  ({ kind }: Values) =>
    kind === word
const isForwarded = ({ kind }: Values) => kind !== 'icmp'
const isDirect = (values: Values) => !isForwarded(values) || values.via_forwarding !== true
const MILLISECONDS = { kind: 'number', min: 100, max: 3_600_000, unit: 'ms' } as const
const IN_A_ROW = { kind: 'number', min: 1, max: 100, required: true } as const

const MONITOR_FIELDS: readonly Field[] = [
  NAME,
  {
    path: 'kind',
    kind: 'choice',
    label: 'field.kind',
    choices: CHECK_KINDS.map((kind) => ({ value: kind, label: CHECK_NAMES[kind] ?? kind.toUpperCase() })),
  },
  {
    path: 'settings.method',
    kind: 'choice',
    label: 'field.method',
    usual: 'GET',
    choices: plain(['GET', 'HEAD', 'OPTIONS']),
    advanced: true,
    when: isHttp,
  },
  {
    path: 'settings.version',
    kind: 'choice',
    label: 'field.httpVersion',
    usual: '1.1',
    choices: HTTP_VERSIONS,
    advanced: true,
    when: isHttp,
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
  { path: 'settings.server_name', kind: 'mono', label: 'field.serverName', help: 'help.serverName', when: asksByName },
  {
    path: 'settings.days_left',
    kind: 'number',
    label: 'field.daysLeft',
    help: 'help.daysLeft',
    min: 0,
    max: 3650,
    optional: true,
    when: is('tls'),
  },
  { path: 'settings.service', kind: 'mono', label: 'field.grpcService', help: 'help.grpcService', when: is('grpc') },
  {
    path: 'settings.user',
    kind: 'mono',
    label: 'field.user',
    help: 'help.databaseUser',
    placeholder: 'penstock',
    when: isDatabase,
  },
  {
    path: 'settings.database',
    kind: 'mono',
    label: 'field.database',
    placeholder: 'postgres',
    beside: true,
    when: is('postgres'),
  },
  {
    path: 'settings.role',
    kind: 'choice',
    label: 'field.role',
    help: 'help.replicationRole',
    choices: [],
    when: replicates,
  },
  {
    path: 'settings.lag_max_s',
    kind: 'number',
    label: 'field.lagMax',
    help: 'help.lagMax',
    min: 0,
    max: 86400,
    unit: 's',
    optional: true,
    when: (values) => values.kind === 'postgres' || values.kind === 'redis',
  },
  {
    path: 'settings.ca',
    label: 'field.ca',
    help: 'help.monitorCa',
    placeholder: CERTIFICATE,
    ...PEM,
    advanced: true,
    when: is('tls'),
  },
  { path: 'password', kind: 'secret', label: 'field.password', help: 'help.databasePassword', when: replicates },
  { path: 'settings.send', kind: 'mono', label: 'field.send', help: 'help.send', when: sends },
  { path: 'settings.expect', kind: 'mono', label: 'field.expect', help: 'help.expect', when: expects },
  { path: 'interval_ms', label: 'field.interval', required: true, ...MILLISECONDS },
  { path: 'timeout_ms', label: 'field.timeout', optional: true, beside: true, ...MILLISECONDS, min: 10 },
  {
    path: 'down_interval_ms',
    label: 'field.downInterval',
    help: 'help.downInterval',
    optional: true,
    advanced: true,
    ...MILLISECONDS,
  },
  {
    path: 'jitter_percent',
    kind: 'number',
    label: 'field.jitter',
    help: 'help.jitter',
    min: 0,
    max: 50,
    unit: '%',
    usual: 10,
    advanced: true,
  },
  { path: 'rise', label: 'field.rise', help: 'help.rise', ...IN_A_ROW },
  { path: 'fall', label: 'field.fall', help: 'help.fall', beside: true, ...IN_A_ROW },
  {
    path: 'via_forwarding',
    kind: 'switch',
    label: 'field.viaForwarding',
    help: 'help.viaForwarding',
    advanced: true,
    when: isForwarded,
  },
  {
    path: 'port',
    kind: 'number',
    label: 'field.checkPort',
    help: 'help.checkPort',
    min: 1,
    max: 65535,
    optional: true,
    advanced: true,
    when: isDirect,
  },
  {
    path: 'address',
    kind: 'mono',
    label: 'field.checkAddress',
    help: 'help.checkAddress',
    advanced: true,
    when: isDirect,
  },
  ENABLED,
  ...ABOUT,
]

export const REPLICATION_ROLES = ['any', 'primary', 'replica'] as const

export function useMonitorFields(): readonly Field[] {
  const roles = useWords('replicationRole', REPLICATION_ROLES)
  return useMemo(
    () =>
      MONITOR_FIELDS.map((field) => (field.path === 'settings.role' ? { ...field, choices: roles } : field) as Field),
    [roles],
  )
}
