/** What can be written of pools and their members. */
import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { monitorsQuery, poolsQuery } from '../api/queries.ts'
import type { Field, Values } from '../ui/form/fields.ts'
import { ABOUT, CERTIFICATE, ENABLED, NAME, named, PEM, plain, port, useWords } from './base.ts'
import { useCertificateChoices } from './certificates.ts'

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
  'peak_ewma',
  'ordered',
] as const
export const MEMBER_STATES = ['enabled', 'drain', 'disabled'] as const

export const useAlgorithms = () => useWords('algorithm', ALGORITHMS)

const MONITORS_NEEDED = ['all', 'any'] as const
const BELOW_MIN_HEALTHY = ['refuse', 'all_members', 'backup_pool'] as const
const PERSISTENCE = ['cookie', 'app_cookie', 'header', 'source'] as const
const PROXY_PROTOCOL = ['none', 'v1', 'v2'] as const

export function usePoolFields(): readonly Field[] {
  const { t } = useTranslation()
  const algorithms = useAlgorithms()
  const needed = useWords('monitorsNeeded', MONITORS_NEEDED)
  const below = useWords('belowMinHealthy', BELOW_MIN_HEALTHY)
  const { data: pools } = useQuery(poolsQuery)
  const { data: monitors } = useQuery(monitorsQuery)
  return [
    NAME,
    {
      path: 'protocol',
      kind: 'choice',
      label: 'field.protocol',
      help: 'help.memberProtocol',
      usual: 'tcp',
      choices: [
        { value: 'tcp', label: `TCP, ${t('mode.http proxy')}` },
        { value: 'udp', label: 'UDP' },
      ],
    },
    { path: 'algorithm', kind: 'choice', label: 'field.algorithm', help: 'help.algorithm', choices: algorithms },
    {
      path: 'monitor_ids',
      kind: 'several',
      label: 'field.monitors',
      help: 'help.monitors',
      choices: named(monitors),
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
      usual: 'refuse',
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
      choices: named(pools),
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
    {
      path: 'drain_timeout_s',
      kind: 'number',
      label: 'field.drainTimeout',
      help: 'help.drainTimeout',
      min: 0,
      max: 604_800,
      unit: 's',
      optional: true,
      advanced: true,
    },
    ...useHttpFields(),
    ENABLED,
    ...ABOUT,
  ]
}

const keeps = (values: Values) => values['persistence.kind'] ?? null
const leavesOut = ({ outlier }: Values) => outlier === true
const waits = ({ queue }: Values) => queue === true
const breaks = ({ breaker }: Values) => breaker === true
const speaksTls = ({ tls }: Values) => tls === true

/** What only members behind HTTP services have. */
function useHttpFields(): readonly Field[] {
  const persistence = useWords('persistence', PERSISTENCE)
  const proxyProtocol = useWords('proxyProtocol', PROXY_PROTOCOL)
  const certificates = useCertificateChoices()
  return [
    {
      path: 'persistence.kind',
      kind: 'choice',
      label: 'field.persistence',
      help: 'help.persistence',
      optional: true,
      whole: true,
      advanced: true,
      choices: persistence,
    },
    {
      path: 'persistence.name',
      kind: 'mono',
      label: 'field.persistenceName',
      help: 'help.persistenceName',
      advanced: true,
      when: (values) => keeps(values) !== null && keeps(values) !== 'source',
    },
    {
      path: 'persistence.timeout_s',
      kind: 'number',
      label: 'field.persistenceTimeout',
      help: 'help.persistenceTimeout',
      min: 1,
      max: 31_536_000,
      unit: 's',
      optional: true,
      advanced: true,
      when: (values) => keeps(values) === 'cookie' || keeps(values) === 'source',
    },
    {
      path: 'persistence.prefix',
      kind: 'number',
      label: 'field.persistencePrefix',
      help: 'help.persistencePrefix',
      min: 1,
      max: 32,
      usual: 32,
      advanced: true,
      when: (values) => keeps(values) === 'source',
    },
    {
      path: 'persistence.prefix_v6',
      kind: 'number',
      label: 'field.persistencePrefix6',
      min: 1,
      max: 128,
      usual: 128,
      beside: true,
      advanced: true,
      when: (values) => keeps(values) === 'source',
    },
    {
      path: 'persistence.shared',
      kind: 'switch',
      label: 'field.persistenceShared',
      help: 'help.persistenceShared',
      advanced: true,
      when: (values) => keeps(values) === 'source',
    },
    {
      path: 'retries.attempts',
      kind: 'number',
      label: 'field.retries',
      help: 'help.retries',
      min: 0,
      max: 10,
      usual: 2,
      advanced: true,
    },
    {
      path: 'retries.budget_percent',
      kind: 'number',
      label: 'field.retryBudget',
      help: 'help.retryBudget',
      min: 0,
      max: 1000,
      unit: '%',
      usual: 100,
      advanced: true,
    },
    {
      path: 'retries.codes',
      kind: 'tags',
      numbers: true,
      label: 'field.retryCodes',
      help: 'help.retryCodes',
      placeholder: '503',
      advanced: true,
    },
    { path: 'outlier', kind: 'part', label: 'field.outlier', help: 'help.outlier', advanced: true },
    {
      path: 'outlier.consecutive',
      kind: 'number',
      label: 'field.outlierConsecutive',
      help: 'help.outlierConsecutive',
      min: 1,
      max: 1000,
      usual: 5,
      advanced: true,
      when: leavesOut,
    },
    {
      path: 'outlier.percent',
      kind: 'number',
      label: 'field.outlierPercent',
      help: 'help.outlierPercent',
      min: 1,
      max: 100,
      unit: '%',
      optional: true,
      advanced: true,
      when: leavesOut,
    },
    {
      path: 'outlier.ejection_s',
      kind: 'number',
      label: 'field.outlierEjection',
      help: 'help.outlierEjection',
      min: 1,
      max: 600,
      unit: 's',
      usual: 30,
      advanced: true,
      when: leavesOut,
    },
    {
      path: 'outlier.max_percent',
      kind: 'number',
      label: 'field.outlierMost',
      help: 'help.outlierMost',
      min: 1,
      max: 99,
      unit: '%',
      usual: 50,
      advanced: true,
      when: leavesOut,
    },
    { path: 'queue', kind: 'part', label: 'field.queue', help: 'help.queue', advanced: true },
    {
      path: 'queue.length',
      kind: 'number',
      label: 'field.queueLength',
      help: 'help.queueLength',
      min: 1,
      max: 100_000,
      usual: 100,
      advanced: true,
      when: waits,
    },
    {
      path: 'queue.timeout_s',
      kind: 'number',
      label: 'field.queueTimeout',
      help: 'help.queueTimeout',
      min: 1,
      max: 600,
      unit: 's',
      usual: 5,
      advanced: true,
      when: waits,
    },
    { path: 'breaker', kind: 'part', label: 'field.breaker', help: 'help.breaker', advanced: true },
    {
      path: 'breaker.percent',
      kind: 'number',
      label: 'field.breakerPercent',
      help: 'help.breakerPercent',
      min: 1,
      max: 100,
      unit: '%',
      usual: 50,
      advanced: true,
      when: breaks,
    },
    {
      path: 'breaker.requests',
      kind: 'number',
      label: 'field.breakerRequests',
      min: 1,
      max: 100_000,
      usual: 20,
      advanced: true,
      when: breaks,
    },
    {
      path: 'breaker.open_s',
      kind: 'number',
      label: 'field.breakerOpen',
      help: 'help.breakerOpen',
      min: 1,
      max: 600,
      unit: 's',
      usual: 10,
      advanced: true,
      when: breaks,
    },
    {
      path: 'hedge.delay_ms',
      kind: 'number',
      label: 'field.hedge',
      help: 'help.hedge',
      min: 1,
      max: 60_000,
      unit: 'ms',
      optional: true,
      whole: true,
      advanced: true,
    },
    {
      path: 'http_version',
      kind: 'choice',
      label: 'field.httpVersion',
      help: 'help.memberHttpVersion',
      usual: '1.1',
      choices: HTTP_VERSIONS,
      advanced: true,
    },
    {
      path: 'proxy_protocol',
      kind: 'choice',
      label: 'field.proxyProtocol',
      help: 'help.proxyProtocol',
      usual: 'none',
      choices: proxyProtocol,
      advanced: true,
    },
    { path: 'tls', kind: 'part', label: 'field.memberTls', help: 'help.memberTls', advanced: true },
    {
      path: 'tls.verify',
      kind: 'switch',
      label: 'field.verify',
      help: 'help.verify',
      usual: true,
      advanced: true,
      when: speaksTls,
    },
    {
      path: 'tls.ca',
      label: 'field.ca',
      help: 'help.ca',
      placeholder: CERTIFICATE,
      ...PEM,
      advanced: true,
      when: speaksTls,
    },
    {
      path: 'tls.server_name',
      kind: 'mono',
      label: 'field.serverName',
      help: 'help.memberServerName',
      advanced: true,
      when: speaksTls,
    },
    {
      path: 'tls.certificate_id',
      kind: 'choice',
      label: 'field.ownCertificate',
      help: 'help.ownCertificate',
      optional: true,
      choices: certificates,
      advanced: true,
      when: speaksTls,
    },
  ]
}

export const HTTP_VERSIONS = plain(['1.1', '2']).map(({ value, label }) => ({ value, label: `HTTP/${label}` }))

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
    { ...ENABLED, advanced: true },
    ...ABOUT,
  ]
}
