/** What a change did to each resource, field by field, in the words of the forms. */
import i18next from 'i18next'
import { useTranslation } from 'react-i18next'
import type { Schemas } from '../api/client.ts'
import type { TextKey } from '../i18n/index.ts'
import { isolated } from './bidi.ts'

type Change = Schemas['Change']

const TONE = { create: 'up', update: 'accent', delete: 'down' } as const
/** Fields that the forms call otherwise, by their way or by their last word. */
const CALLED: Record<string, string> = {
  default_pool_id: 'pool',
  backup_pool_id: 'backupPool',
  virtual_ip_ids: 'virtualIps',
  monitor_ids: 'monitors',
  certificate_ids: 'certificates',
  certificate_id: 'ownCertificate',
  'retries.attempts': 'retries',
  'retries.budget': 'retryBudget',
  'retries.codes': 'retryCodes',
  'outlier.consecutive': 'outlierConsecutive',
  'outlier.percent': 'outlierPercent',
  'outlier.ejection': 'outlierEjection',
  'outlier.max': 'outlierMost',
  'queue.length': 'queueLength',
  'queue.timeout': 'queueTimeout',
  'breaker.percent': 'breakerPercent',
  'breaker.requests': 'breakerRequests',
  'breaker.open': 'breakerOpen',
  'hedge.delay': 'hedge',
  'basic_auth.users': 'basicUsers',
  'mirror.pool': 'mirror',
  'mirror.percent': 'mirrorPercent',
  'persistence.kind': 'persistence',
  'persistence.name': 'persistenceName',
  'persistence.timeout': 'persistenceTimeout',
  'persistence.prefix': 'persistencePrefix',
  'request_timeouts.head': 'headTimeout',
  'request_timeouts.connect': 'connectTimeout',
  'request_timeouts.answer': 'answerTimeout',
  'request_timeouts.tunnel': 'tunnelTimeout',
  'request_timeouts.drain': 'drainTimeout',
  'rate_limit.requests': 'rateLimit',
  'rate_limit.per': 'ratePer',
  'rate_limit.burst': 'rateBurst',
  'rate_limit.key': 'rateKey',
  'rate_limit.connections_per': 'flowRate',
  'rate_limit.source_connections_per': 'sourceFlowRate',
  'rate_limit.source_packets_per': 'sourcePacketRate',
  'rate_limit.source_prefix_v6': 'sourcePrefix6',
  'rate_limit.packets_per': 'packetRate',
  'rate_limit.kbits_per': 'bitRate',
  'rewrite.host': 'rewriteHost',
  'path.from': 'rewritePathFrom',
  'path.to': 'rewritePathTo',
  'tunnel.kind': 'tunnelKind',
  'tunnel.port': 'tunnelPort',
}
const NO_NAMES: ReadonlyMap<string, string> = new Map()

/** The same in a line. */
export function ChangeLine({ change }: { change: Change }) {
  const { t } = useTranslation()
  return (
    <>
      <span className={`action ${TONE[change.action]}`}>{t(`history.${change.action}`)}</span> <bdi>{change.name}</bdi>{' '}
      <span className="dim">{kindOf(change, NO_NAMES)}</span>
    </>
  )
}

export function Changes({
  changes,
  names = NO_NAMES,
}: {
  changes: readonly Change[]
  names?: ReadonlyMap<string, string>
}) {
  const { t } = useTranslation()
  return (
    <ul className="change-list">
      {changes.map((change) => (
        <li key={`${change.resource} ${change.id}`} className="change">
          <p className="change-head">
            <span className={`action ${TONE[change.action]}`}>{t(`history.${change.action}`)}</span>
            <b className="cut">
              <bdi>{change.name}</bdi>
            </b>
            <span className="spring" />
            <span className="dim small">{kindOf(change, names)}</span>
          </p>
          <dl className="changes">
            {change.fields
              .flatMap(parts)
              .filter((field) => change.action === 'update' || !isNothing(field.after ?? field.before))
              .map(({ pointer, before, after }) => (
                <div key={pointer}>
                  <FieldName pointer={pointer} />
                  <dd>
                    {change.action !== 'create' && <span className="value was">{worded(before, names, pointer)}</span>}
                    {change.action === 'update' && ' → '}
                    {change.action !== 'delete' && <span className="value is">{worded(after, names, pointer)}</span>}
                  </dd>
                </div>
              ))}
          </dl>
        </li>
      ))}
    </ul>
  )
}

type FieldChange = Schemas['FieldChange']

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** What stands in an object, value by value. */
function parts(change: FieldChange): FieldChange[] {
  const { pointer, before, after } = change
  if (!isObject(before) && !isObject(after)) return [change]
  const [was, is] = [isObject(before) ? before : {}, isObject(after) ? after : {}]
  const keys = [...new Set([...Object.keys(was), ...Object.keys(is)])]
  return keys
    .filter((key) => JSON.stringify(was[key]) !== JSON.stringify(is[key]))
    .flatMap((key) => parts({ pointer: `${pointer}/${key}`, before: was[key] ?? null, after: is[key] ?? null }))
}

/** The way to a field without its unit. */
const wayTo = (pointer: string) => pointer.slice(1).replaceAll('/', '.')
const plain = (way: string) => way.replace(/_(s|ms|percent)$/, '')

function FieldName({ pointer }: { pointer: string }) {
  const { t } = useTranslation()
  const way = plain(wayTo(pointer))
  const last = way.split('.').at(-1) ?? ''
  const word = CALLED[way.split('.').slice(-2).join('.')] ?? CALLED[last] ?? last
  const key = `field.${word.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())}`
  return i18next.exists(key) ? (
    <dt title={wayTo(pointer)}>{t(key as TextKey)}</dt>
  ) : (
    <dt className="mono">{wayTo(pointer)}</dt>
  )
}

/** What kind of thing it is, and what it belongs to. */
function kindOf({ resource, parent_id }: Change, names: ReadonlyMap<string, string>): string {
  const key = `kind.${resource}`
  const kind = i18next.exists(key) ? i18next.t(key as TextKey) : resource
  const parent = parent_id === null ? undefined : names.get(parent_id)
  return parent === undefined ? kind : `${kind} · ${parent}`
}

const isNothing = (value: unknown) =>
  value === null || value === undefined || value === '' || (Array.isArray(value) && value.length === 0)

/** Fields whose values have words here. */
const WORDS: Record<string, string> = {
  '/algorithm': 'algorithm',
  '/state': 'memberState',
  '/below_min_healthy': 'belowMinHealthy',
  '/monitors_needed': 'monitorsNeeded',
  '/proxy_protocol': 'proxyProtocol',
  '/unserved': 'unserved',
  '/ended': 'ended',
  '/persistence/kind': 'persistence',
  '/rate_limit/key': 'limitKey',
}

function worded(value: unknown, names: ReadonlyMap<string, string>, pointer: string): string {
  const word = `${WORDS[pointer]}.${String(value)}`
  if (pointer in WORDS && i18next.exists(word)) return i18next.t(word as TextKey)
  if (isNothing(value)) return '–'
  if (typeof value === 'boolean') return i18next.t(value ? 'common.yes' : 'common.no')
  if (typeof value === 'string') return names.get(value) ?? value
  if (Array.isArray(value) && value.every((one) => typeof one === 'string'))
    return value.map((one) => isolated(names.get(one) ?? one)).join(', ')
  return JSON.stringify(value)
}
