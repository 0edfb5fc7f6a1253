/** What a change did to each resource, field by field, in the words of the forms. */
import i18next from 'i18next'
import { useTranslation } from 'react-i18next'
import type { Schemas } from '../api/client.ts'
import type { TextKey } from '../i18n/index.ts'

type Change = Schemas['Change']

const TONE = { create: 'up', update: 'accent', delete: 'down' } as const
/** Fields that the forms call otherwise. */
const CALLED: Record<string, string> = {
  default_pool_id: 'pool',
  virtual_ip_ids: 'virtualIps',
  monitor_ids: 'monitors',
  certificate_ids: 'certificates',
  interval_ms: 'interval',
  timeout_ms: 'timeout',
  idle_s: 'idle',
  opening_s: 'opening',
  closing_s: 'closing',
}
const NO_NAMES: ReadonlyMap<string, string> = new Map()

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

function FieldName({ pointer }: { pointer: string }) {
  const { t } = useTranslation()
  const last = pointer.split('/').at(-1) ?? ''
  const key = `field.${CALLED[last] ?? last.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase())}`
  const path = pointer.replace(/^\//, '').replaceAll('/', '.')
  return i18next.exists(key) ? <dt title={path}>{t(key as TextKey)}</dt> : <dt className="mono">{path}</dt>
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
const WORDS: Record<string, string> = { '/algorithm': 'algorithm', '/state': 'memberState' }

function worded(value: unknown, names: ReadonlyMap<string, string>, pointer: string): string {
  const word = `${WORDS[pointer]}.${String(value)}`
  if (pointer in WORDS && i18next.exists(word)) return i18next.t(word as TextKey)
  if (isNothing(value)) return '–'
  if (typeof value === 'boolean') return i18next.t(value ? 'common.yes' : 'common.no')
  if (typeof value === 'string') return names.get(value) ?? value
  if (Array.isArray(value) && value.every((one) => typeof one === 'string'))
    return value.map((one) => names.get(one) ?? one).join(', ')
  return JSON.stringify(value)
}
