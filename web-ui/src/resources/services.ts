/** What can be written of virtual services and of the addresses they are offered on. */
import { useQuery } from '@tanstack/react-query'
import { poolsQuery, virtualIpsQuery } from '../api/queries.ts'
import type { Field, Values } from '../ui/form/fields.ts'
import { ABOUT, ENABLED, NAME, named, port, useWords } from './base.ts'
import { TLS_VERSIONS, useCertificateChoices } from './certificates.ts'

const upper = (words: readonly string[]) =>
  words.map((value) => ({ value, label: value.toUpperCase().replace('_', ' ') }))

const UNSERVED = ['silence', 'reset'] as const

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
]

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

/** What those are told whom nobody serves. */
export function useUnserved(): Field {
  const choices = useWords('unserved', UNSERVED)
  return {
    path: 'unserved',
    kind: 'choice',
    label: 'field.unserved',
    help: 'help.unserved',
    usual: 'silence',
    choices,
    advanced: true,
  }
}

const inLayer7 = ({ forwarding }: Values) => forwarding === 'proxy'

export function useServiceFields(): readonly Field[] {
  const { data: pools } = useQuery(poolsQuery)
  const { data: virtualIps } = useQuery(virtualIpsQuery)
  const certificates = useCertificateChoices()
  const unserved = useUnserved()
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
      choices: upper(['tcp', 'udp', 'http', 'https']),
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
      required: true,
      whole: true,
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
    { ...LOCAL_ADDRESSES, when: isFullNat },
    ENABLED,
    ...LIMITS,
    ...[...ACCESS, unserved].map((field) => ({ ...field, when: (values: Values) => !inLayer7(values) })),
    ...PROXYING.map((field) => ({ ...field, when: inLayer7 })),
    ...ABOUT,
  ]
}
