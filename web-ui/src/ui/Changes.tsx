/** What a change did to each resource, field by field. */
import { useTranslation } from 'react-i18next'
import type { Schemas } from '../api/client.ts'

type Change = Schemas['Change']

const TONE = { create: 'up', update: 'accent', delete: 'down' } as const

export function Changes({ changes }: { changes: readonly Change[] }) {
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
            <span className="dim small mono">{change.resource}</span>
          </p>
          <dl className="changes">
            {change.fields.map(({ pointer, before, after }) => (
              <div key={pointer}>
                <dt className="mono">{pointer.replace(/^\//, '').replaceAll('/', '.')}</dt>
                <dd>
                  {change.action !== 'create' && <span className="value was">{worded(before)}</span>}
                  {change.action === 'update' && ' → '}
                  {change.action !== 'delete' && <span className="value is">{worded(after)}</span>}
                </dd>
              </div>
            ))}
          </dl>
        </li>
      ))}
    </ul>
  )
}

function worded(value: unknown): string {
  if (value === null || value === undefined || value === '') return '–'
  return typeof value === 'string' ? value : JSON.stringify(value)
}
