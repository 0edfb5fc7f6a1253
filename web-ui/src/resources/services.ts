/** What can be written of virtual services and of the addresses they are offered on. */
import { useQuery } from '@tanstack/react-query'
import { poolsQuery, virtualIpsQuery } from '../api/queries.ts'
import type { TextKey } from '../i18n/index.ts'
import type { Carried } from '../services/modes.ts'
import type { Choice, Field, Values } from '../ui/form/fields.ts'
import { ABOUT, CERTIFICATE, ENABLED, NAME, named, PEM, port, useWords } from './base.ts'
import { TLS_VERSIONS, useCertificateChoices } from './certificates.ts'

const upper = (words: readonly string[]) =>
  words.map((value) => ({ value, label: value.toUpperCase().replace('_', ' ') }))

const TOLD = ['silence', 'reset'] as const

export const virtualIpFields: readonly Field[] = [
  { path: 'address', kind: 'mono', label: 'field.address', help: 'help.virtualIp', required: true },
  { ...NAME, help: 'help.name' },
  ENABLED,
  ...ABOUT,
]

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

const carriesFrames = (values: Values) => values['tunnel.kind'] === 'vxlan' || values['tunnel.kind'] === 'geneve'

/** What packets are wrapped in on their way to the members. */
export const TUNNEL: readonly Field[] = [
  {
    path: 'tunnel.kind',
    kind: 'choice',
    label: 'field.tunnelKind',
    help: 'help.tunnelKind',
    required: true,
    choices: upper(['ipip', 'gre', 'gue', 'vxlan', 'geneve']),
    whole: true,
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

const isFullNat = ({ forwarding }: Values) => forwarding === 'full_nat'

/** What members see in the place of clients. */
export const LOCAL_ADDRESSES: Field = {
  path: 'local_addresses',
  kind: 'tags',
  label: 'field.localAddresses',
  help: 'help.localAddresses',
  required: true,
  placeholder: '198.51.100.200',
}

/** What only the layer-7 plane heeds. */
export const PROXYING: readonly Field[] = [
  {
    path: 'proxy_protocol_from',
    kind: 'tags',
    label: 'field.proxyProtocolFrom',
    help: 'help.proxyProtocolFrom',
    placeholder: '198.51.100.0/24',
    advanced: true,
  },
  ...(
    [
      ['head_s', 'field.headTimeout', 'help.headTimeout', 1, 86_400, 10],
      ['connect_s', 'field.connectTimeout', 'help.connectTimeout', 1, 86_400, 5],
      ['answer_s', 'field.answerTimeout', 'help.answerTimeout', 1, 86_400, 60],
      ['tunnel_s', 'field.tunnelTimeout', 'help.tunnelTimeout', 1, 604_800, 3600],
      ['drain_s', 'field.drainTimeout', 'help.tunnelDrain', 0, 86_400, 60],
    ] as const
  ).map(([key, label, help, min, max, usual]): Field => ({
    path: `request_timeouts.${key}`,
    kind: 'number',
    label,
    help,
    min,
    max,
    unit: 's',
    usual,
    whole: true,
    advanced: true,
  })),
  ...(
    [
      ['head_bytes', 'field.headLimit', 'help.headLimit', 1024, 262_144, 32_768],
      ['target_bytes', 'field.targetLimit', 'help.targetLimit', 64, 16_384, 16_384],
    ] as const
  ).map(([key, label, help, min, max, usual]): Field => ({
    path: `limits.${key}`,
    kind: 'number',
    label,
    help,
    min,
    max,
    unit: 'B',
    usual,
    whole: true,
    advanced: true,
  })),
  {
    path: 'limits.body_bytes',
    kind: 'number',
    label: 'field.bodyLimit',
    help: 'help.bodyLimit',
    min: 0,
    max: 4_294_967_295,
    unit: 'B',
    optional: true,
    advanced: true,
  },
  {
    path: 'limits.connections_per_source',
    kind: 'number',
    label: 'field.sourceLimit',
    help: 'help.sourceLimit',
    min: 1,
    max: 1_000_000,
    optional: true,
    advanced: true,
  },
]

const compresses = ({ compression }: Values) => compression === true

/** Answers that are made smaller. */
const COMPRESSION: readonly Field[] = [
  { path: 'compression', kind: 'part', label: 'field.compression', help: 'help.compression', advanced: true },
  {
    path: 'compression.codings',
    kind: 'tags',
    label: 'field.codings',
    help: 'help.codings',
    usual: ['br', 'zstd', 'gzip'],
    required: true,
    advanced: true,
    when: compresses,
  },
  {
    path: 'compression.types',
    kind: 'tags',
    label: 'field.mediaTypes',
    help: 'help.mediaTypes',
    placeholder: 'text/*',
    advanced: true,
    when: compresses,
  },
  {
    path: 'compression.min_bytes',
    kind: 'number',
    label: 'field.smallest',
    help: 'help.smallest',
    min: 0,
    max: 1_048_576,
    unit: 'B',
    usual: 1024,
    advanced: true,
    when: compresses,
  },
]

const isStrict = (values: Values) => values['tls.hsts'] === true

/** Tells browsers to speak nothing but TLS. */
const HSTS: readonly Field[] = [
  { path: 'tls.hsts', kind: 'part', label: 'field.hsts', help: 'help.hsts', advanced: true },
  {
    path: 'tls.hsts.max_age_s',
    kind: 'number',
    label: 'field.hstsAge',
    min: 0,
    max: 63_072_000,
    unit: 's',
    usual: 31_536_000,
    advanced: true,
    when: isStrict,
  },
  { path: 'tls.hsts.include_subdomains', kind: 'switch', label: 'field.subdomains', advanced: true, when: isStrict },
  {
    path: 'tls.hsts.preload',
    kind: 'switch',
    label: 'field.preload',
    help: 'help.preload',
    advanced: true,
    when: isStrict,
  },
]

const asksClients = (values: Values) => values['tls.client_auth'] === true

/** Clients that show a certificate. */
const CLIENT_AUTH: readonly Field[] = [
  { path: 'tls.client_auth', kind: 'part', label: 'field.clientAuth', help: 'help.clientAuth', advanced: true },
  {
    path: 'tls.client_auth.ca',
    label: 'field.ca',
    help: 'help.clientCa',
    placeholder: CERTIFICATE,
    required: true,
    ...PEM,
    advanced: true,
    when: asksClients,
  },
  {
    path: 'tls.client_auth.crl',
    label: 'field.crl',
    help: 'help.crl',
    placeholder: '-----BEGIN X509 CRL-----',
    ...PEM,
    advanced: true,
    when: asksClients,
  },
  {
    path: 'tls.client_auth.optional',
    kind: 'switch',
    label: 'field.clientAuthOptional',
    help: 'help.clientAuthOptional',
    advanced: true,
    when: asksClients,
  },
]

const where = (field: Field, has: (values: Values) => boolean): Field => ({
  ...field,
  when: (values) => has(values) && (field.when?.(values) ?? true),
})

const limitsSources = (values: Values) =>
  ['connections', 'packets'].some((what) => typeof values[`rate_limit.source_${what}_per_s`] === 'number')

/** How fast clients may come. */
const RATES: readonly Field[] = (
  [
    ['connections_per_s', 'field.flowRate', 'help.flowRate', '1/s'],
    ['source_connections_per_s', 'field.sourceFlowRate', 'help.sourceRate', '1/s'],
    ['source_packets_per_s', 'field.sourcePacketRate', 'help.sourceRate', '1/s'],
    ['packets_per_s', 'field.packetRate', 'help.packetRate', '1/s'],
    ['kbits_per_s', 'field.bitRate', 'help.packetRate', 'kbit/s'],
  ] as const
)
  .map(([key, label, help, unit]): Field => ({
    path: `rate_limit.${key}`,
    kind: 'number',
    label,
    help,
    min: 1,
    max: 400_000_000,
    unit,
    optional: true,
    whole: true,
    advanced: true,
  }))
  .concat(
    (
      [
        ['source_prefix', 'field.sourcePrefix', 32, 32],
        ['source_prefix_v6', 'field.sourcePrefix6', 128, 64],
      ] as const
    ).map(([key, label, max, usual]): Field => ({
      path: `rate_limit.${key}`,
      kind: 'number',
      label,
      min: 1,
      max,
      usual,
      optional: true,
      advanced: true,
      when: limitsSources,
    })),
  )

/** What only the layer-4 plane heeds. */
export const ACCESS: readonly Field[] = [
  {
    path: 'port_end',
    kind: 'number',
    label: 'field.portEnd',
    help: 'help.portEnd',
    min: 1,
    max: 65535,
    optional: true,
    advanced: true,
  },
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
  ...RATES,
]

/** What the forwarder can do for connections beyond forwarding: what their ends are told, and how floods of them are met. */
export function useTold(carried: (values: Values) => Partial<Carried>): readonly Field[] {
  const unserved = useWords('unserved', TOLD)
  const ended = useWords('ended', TOLD)
  const inLayer4 = (values: Values) => carried(values).forwarding !== 'proxy'
  const isTcp = (values: Values) => inLayer4(values) && carried(values).protocol === 'tcp'
  const translated = (values: Values) => isTcp(values) && /nat$/.test(carried(values).forwarding ?? '')
  const choice = (path: string, choices: readonly Choice[], when: Field['when']): Field => ({
    path,
    kind: 'choice',
    label: `field.${path}` as TextKey,
    help: `help.${path}` as TextKey,
    usual: 'silence',
    choices,
    advanced: true,
    when,
  })
  return [
    choice('unserved', unserved, inLayer4),
    choice('ended', ended, isTcp),
    {
      path: 'syn_cookies_from',
      kind: 'number',
      label: 'field.synCookiesFrom',
      help: 'help.synCookiesFrom',
      min: 0,
      max: 16_000_000,
      optional: true,
      advanced: true,
      when: translated,
    },
  ]
}

const inLayer7 = ({ forwarding }: Values) => forwarding === 'proxy'

export function useServiceFields(): readonly Field[] {
  const { data: pools } = useQuery(poolsQuery)
  const { data: virtualIps } = useQuery(virtualIpsQuery)
  const certificates = useCertificateChoices()
  const told = useTold((values) => values as Partial<Carried>)
  const isHttps = ({ protocol }: Values) => protocol === 'https'
  // Passed through to the member, unless there is a certificate.
  const mayEndTls = ({ protocol }: Values) => protocol === 'https' || protocol === 'tls'
  const endsTls = (values: Values) =>
    mayEndTls(values) && (values['tls.certificate_ids'] as readonly string[]).length > 0
  const hasRequests = ({ protocol }: Values) => protocol === 'http' || protocol === 'https'
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
      choices: upper(['tcp', 'udp', 'http', 'https', 'tls']),
    },
    port('field.port'),
    {
      path: 'forwarding',
      kind: 'choice',
      label: 'field.forwarding',
      help: 'help.forwarding',
      choices: upper(['nat', 'full_nat', 'dr', 'tunnel', 'proxy']),
    },
    {
      path: 'default_pool_id',
      kind: 'choice',
      label: 'field.pool',
      optional: true,
      choices: named(pools),
    },
    {
      path: 'tls.certificate_ids',
      kind: 'several',
      label: 'field.certificates',
      help: 'help.certificates',
      whole: true,
      choices: certificates,
      when: mayEndTls,
    },
    {
      path: 'tls.min_version',
      kind: 'choice',
      label: 'field.minVersion',
      choices: TLS_VERSIONS,
      advanced: true,
      when: endsTls,
    },
    ...HSTS.map((field) => where(field, (values) => isHttps(values) && endsTls(values))),
    ...CLIENT_AUTH.map((field) => where(field, endsTls)),
    ...TUNNEL.map((field) => ({ ...field, when: tunnelled(field, ({ forwarding }) => forwarding === 'tunnel') })),
    { ...LOCAL_ADDRESSES, when: isFullNat },
    ENABLED,
    ...LIMITS,
    ...ACCESS.map((field) => ({ ...field, when: (values: Values) => !inLayer7(values) })),
    ...told,
    ...PROXYING.map((field) => ({ ...field, when: inLayer7 })),
    ...COMPRESSION.map((field) => where(field, hasRequests)),
    ...ABOUT,
  ]
}
