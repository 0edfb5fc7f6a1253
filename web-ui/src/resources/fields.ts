/** What can be written of each resource. */
import { useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { certificatesQuery, monitorsQuery, poolsQuery, servicesQuery, virtualIpsQuery } from '../api/queries.ts'
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
function useWords<Word extends string>(
  key: 'algorithm' | 'memberState' | 'role' | 'replicationRole' | 'monitorsNeeded' | 'belowMinHealthy',
  words: readonly Word[],
): Choice[] {
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

export const useAlgorithms = () => useWords('algorithm', ALGORITHMS)

const MONITORS_NEEDED = ['all', 'any'] as const
const BELOW_MIN_HEALTHY = ['refuse', 'all_members', 'backup_pool'] as const

export function usePoolFields(): readonly Field[] {
  const algorithms = useWords('algorithm', ALGORITHMS)
  const needed = useWords('monitorsNeeded', MONITORS_NEEDED)
  const below = useWords('belowMinHealthy', BELOW_MIN_HEALTHY)
  const { data: pools } = useQuery(poolsQuery)
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
    {
      path: 'monitors_needed',
      kind: 'choice',
      label: 'field.monitorsNeeded',
      choices: needed,
      when: ({ monitor_ids }) => Array.isArray(monitor_ids) && monitor_ids.length > 1,
    },
    {
      path: 'min_healthy',
      kind: 'number',
      label: 'field.minHealthy',
      help: 'help.minHealthy',
      min: 1,
      max: 65535,
      optional: true,
      advanced: true,
    },
    {
      path: 'below_min_healthy',
      kind: 'choice',
      label: 'field.belowMinHealthy',
      help: 'help.belowMinHealthy',
      choices: below,
      advanced: true,
    },
    {
      path: 'backup_pool_id',
      kind: 'choice',
      label: 'field.backupPool',
      required: true,
      optional: true,
      advanced: true,
      choices: (pools ?? []).map(({ id, name }) => ({ value: id, label: name })),
      when: ({ below_min_healthy }) => below_min_healthy === 'backup_pool',
    },
    {
      path: 'slow_start_s',
      kind: 'number',
      label: 'field.slowStart',
      help: 'help.slowStart',
      min: 0,
      max: 3600,
      unit: 's',
      optional: true,
      advanced: true,
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
const sends = ({ kind }: Values) => kind === 'tcp' || kind === 'udp'
const named = ({ kind }: Values) => kind === 'https' || kind === 'tls'
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
  { path: 'settings.server_name', kind: 'mono', label: 'field.serverName', help: 'help.serverName', when: named },
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
  { path: 'settings.send', kind: 'mono', label: 'field.send', help: 'help.send', when: sends },
  { path: 'settings.expect', kind: 'mono', label: 'field.expect', help: 'help.expect', when: sends },
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

/** Timeouts and who may connect: the same for a new service and one that is changed. `values` are a service's. */
export const LIMITS: readonly Field[] = [
  {
    path: 'timeouts.idle_s',
    kind: 'number',
    label: 'field.idle',
    help: 'help.idle',
    min: 1,
    max: 86400,
    unit: 's',
    optional: true,
    advanced: true,
  },
  {
    path: 'timeouts.opening_s',
    kind: 'number',
    label: 'field.opening',
    help: 'help.opening',
    min: 1,
    max: 86400,
    unit: 's',
    optional: true,
    advanced: true,
  },
  {
    path: 'timeouts.closing_s',
    kind: 'number',
    label: 'field.closing',
    help: 'help.closing',
    min: 1,
    max: 86400,
    unit: 's',
    optional: true,
    beside: true,
    advanced: true,
  },
]

const carriesFrames = (values: Values) => values['tunnel.kind'] === 'vxlan' || values['tunnel.kind'] === 'geneve'

/** What packets are wrapped in on their way to the members. */
export const TUNNEL: readonly Field[] = [
  {
    path: 'tunnel.kind',
    kind: 'choice',
    label: 'field.tunnelKind',
    help: 'help.tunnelKind',
    required: true,
    choices: ['ipip', 'gre', 'gue', 'vxlan', 'geneve'].map((value) => ({ value, label: value.toUpperCase() })),
  },
  { path: 'tunnel.vni', kind: 'number', label: 'field.vni', min: 0, max: 16_777_215, when: carriesFrames },
  {
    path: 'tunnel.port',
    kind: 'number',
    label: 'field.tunnelPort',
    min: 1,
    max: 65535,
    optional: true,
    beside: true,
    when: (values) => carriesFrames(values) || values['tunnel.kind'] === 'gue',
  },
]

/** Where a field of a tunnel is there: where there is a tunnel at all, and it has it. */
export const tunnelled = (field: Field, has: (values: Values) => boolean) => (values: Values) =>
  has(values) && (field.when?.(values) ?? true)

/** What only the layer-4 plane heeds. */
export const ACCESS: readonly Field[] = [
  {
    path: 'allowed_cidrs',
    kind: 'tags',
    label: 'field.allowedCidrs',
    help: 'help.allowedCidrs',
    placeholder: '198.51.100.0/24',
    advanced: true,
  },
  {
    path: 'denied_cidrs',
    kind: 'tags',
    label: 'field.deniedCidrs',
    help: 'help.deniedCidrs',
    placeholder: '203.0.113.0/24',
    advanced: true,
  },
  {
    path: 'connection_limit',
    kind: 'number',
    label: 'field.connectionLimit',
    help: 'help.serviceLimit',
    min: 1,
    max: 100_000_000,
    optional: true,
    advanced: true,
  },
]

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

const inLayer7 = ({ forwarding }: Values) => forwarding === 'proxy'

export function useServiceFields(): readonly Field[] {
  const { data: pools } = useQuery(poolsQuery)
  const { data: virtualIps } = useQuery(virtualIpsQuery)
  const certificates = useCertificateChoices()
  const isHttps = ({ protocol }: Values) => protocol === 'https'
  return [
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
    {
      path: 'protocol',
      kind: 'choice',
      label: 'field.protocol',
      choices: ['tcp', 'udp', 'http', 'https'].map((value) => ({ value, label: value.toUpperCase() })),
    },
    port('field.port'),
    {
      path: 'forwarding',
      kind: 'choice',
      label: 'field.forwarding',
      help: 'help.forwarding',
      choices: ['nat', 'dr', 'tunnel', 'proxy'].map((value) => ({ value, label: value.toUpperCase() })),
    },
    {
      path: 'default_pool_id',
      kind: 'choice',
      label: 'field.pool',
      optional: true,
      choices: (pools ?? []).map(({ id, name }) => ({ value: id, label: name })),
    },
    {
      path: 'tls.certificate_ids',
      kind: 'several',
      label: 'field.certificates',
      help: 'help.certificates',
      required: true,
      choices: certificates,
      when: isHttps,
    },
    {
      path: 'tls.min_version',
      kind: 'choice',
      label: 'field.minVersion',
      choices: TLS_VERSIONS,
      advanced: true,
      when: isHttps,
    },
    ...TUNNEL.map((field) => ({ ...field, when: tunnelled(field, ({ forwarding }) => forwarding === 'tunnel') })),
    ENABLED,
    ...LIMITS,
    ...ACCESS.map((field) => ({ ...field, when: (values: Values) => !inLayer7(values) })),
    ...ABOUT,
  ]
}

const PEM = { kind: 'file', accept: '.pem,.crt,.cer,.key,.txt' } as const

/** A key that is not given stays as it is. */
export const certificateFields = (needsKey: boolean): readonly Field[] => [
  NAME,
  {
    path: 'chain',
    label: 'field.chain',
    help: 'help.chain',
    required: true,
    placeholder: '-----BEGIN CERTIFICATE-----',
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
  ...ABOUT,
]

export const PERMISSIONS = [
  'balancing:read',
  'balancing:write',
  'accounts:read',
  'accounts:write',
  'audit:read',
  'system:read',
  'system:write',
] as const

const SUBJECTS = ['host', 'path', 'header', 'cookie', 'query', 'method', 'source', 'sni'] as const
const COMPARES = ['exact', 'prefix', 'suffix', 'contains', 'regex', 'present', 'network'] as const
const hasKey = ({ kind }: Record<string, unknown>) => kind === 'header' || kind === 'cookie' || kind === 'query'
const decides =
  (word: string) =>
  ({ decision }: Values) =>
    decision === word

/** How requests are told apart, and what becomes of them. */
export function usePolicyFields(): readonly Field[] {
  const { t } = useTranslation()
  const { data: services = [] } = useQuery(servicesQuery)
  const { data: pools = [] } = useQuery(poolsQuery)
  return useMemo(() => {
    const words = <Word extends string>(key: 'subject' | 'compare' | 'decision' | 'headerVerb', all: readonly Word[]) =>
      all.map((word) => ({ value: word, label: t(`${key}.${word}` as TextKey) }))
    const changes = (path: string, label: TextKey): Field => ({
      path,
      kind: 'rows',
      label,
      advanced: true,
      columns: [
        {
          key: 'change',
          label: 'field.change',
          kind: 'choice',
          first: 'set',
          choices: words('headerVerb', ['set', 'add', 'remove']),
        },
        { key: 'name', label: 'field.name', kind: 'text' },
        { key: 'value', label: 'field.value', kind: 'text', when: ({ change }) => change !== 'remove' },
      ],
    })
    return [
      NAME,
      {
        path: 'virtual_service_id',
        kind: 'choice',
        label: 'detail.service',
        required: true,
        optional: true,
        choices: services
          .filter(({ forwarding }) => forwarding === 'proxy')
          .map(({ id, name }) => ({ value: id, label: name })),
      },
      {
        path: 'position',
        kind: 'number',
        label: 'field.position',
        help: 'help.position',
        min: 0,
        max: 1_000_000,
        optional: true,
      },
      {
        path: 'rules',
        kind: 'rows',
        label: 'field.rules',
        help: 'help.rules',
        columns: [
          { key: 'kind', label: 'field.subject', kind: 'choice', first: 'path', choices: words('subject', SUBJECTS) },
          { key: 'key', label: 'field.key', kind: 'text', when: hasKey },
          {
            key: 'compare',
            label: 'field.compare',
            kind: 'choice',
            first: 'prefix',
            choices: words('compare', COMPARES),
          },
          {
            key: 'values',
            label: 'field.values',
            kind: 'tags',
            first: [],
            when: ({ compare }) => compare !== 'present',
          },
          { key: 'invert', label: 'field.invert', kind: 'switch', first: false },
        ],
      },
      {
        path: 'decision',
        kind: 'choice',
        label: 'field.decision',
        help: 'help.decision',
        choices: words('decision', ['pools', 'redirect', 'respond', 'reject', 'none']),
      },
      {
        path: 'pools',
        kind: 'rows',
        label: 'pools.title',
        columns: [
          {
            key: 'pool_id',
            label: 'field.pool',
            kind: 'choice',
            first: pools[0]?.id ?? null,
            choices: pools.map(({ id, name }) => ({ value: id, label: name })),
          },
          { key: 'weight', label: 'field.weight', kind: 'number', first: 1 },
        ],
        when: decides('pools'),
      },
      {
        path: 'redirect.scheme',
        kind: 'choice',
        label: 'field.scheme',
        optional: true,
        choices: ['https', 'http'].map((value) => ({ value, label: value })),
        when: decides('redirect'),
      },
      { path: 'redirect.host', kind: 'mono', label: 'field.host', beside: true, when: decides('redirect') },
      { path: 'redirect.path', kind: 'mono', label: 'field.path', when: decides('redirect') },
      {
        path: 'redirect.code',
        kind: 'number',
        label: 'field.code',
        min: 301,
        max: 308,
        optional: true,
        beside: true,
        when: decides('redirect'),
      },
      {
        path: 'respond.code',
        kind: 'number',
        label: 'field.code',
        min: 200,
        max: 599,
        optional: true,
        when: decides('respond'),
      },
      {
        path: 'respond.content_type',
        kind: 'mono',
        label: 'field.contentType',
        placeholder: 'text/html; charset=utf-8',
        when: decides('respond'),
      },
      { path: 'respond.body', kind: 'long', label: 'field.body', when: decides('respond') },
      {
        path: 'reject.code',
        kind: 'number',
        label: 'field.code',
        min: 400,
        max: 599,
        optional: true,
        when: decides('reject'),
      },
      { path: 'rewrite.host', kind: 'mono', label: 'field.rewriteHost', advanced: true },
      changes('rewrite.request_headers', 'field.requestHeaders'),
      changes('rewrite.response_headers', 'field.responseHeaders'),
      ENABLED,
      ...ABOUT,
    ]
  }, [t, services, pools])
}
