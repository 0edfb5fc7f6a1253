/** What operators wrote about a resource for each other, and how far its last change has come. */
import { useTranslation } from 'react-i18next'
import type { Schemas } from '../api/client.ts'
import { said } from '../i18n/index.ts'
import type { Facts, Resource } from '../status/facts.ts'
import { useReason } from '../status/useReason.ts'
import { sentence } from './bidi.ts'
import { dateTime } from './format.ts'
import { Glyph, healthTone, SyncStatus } from './Status.tsx'

const PROCESSES = ['forwarding', 'proxying', 'host_applied'] as const
const isProcess = (type: string): type is (typeof PROCESSES)[number] => PROCESSES.some((one) => one === type)

type Shown = Resource & { conditions: Schemas['Condition'][] }

export function About({ resource, facts }: { resource: Shown; facts: Facts }) {
  const { t, i18n } = useTranslation()
  const { description, tags, updated_at, conditions } = resource
  const reasonOf = useReason()
  const tone = healthTone(facts.health)
  return (
    <>
      {!['off', 'unknown', 'up'].includes(facts.health) && (
        <p className={`note ${tone}`}>
          <Glyph tone={tone} /> {reasonOf(facts)}
        </p>
      )}
      {facts.sync !== 'applied' && <Conditions conditions={conditions} />}
      <p className="about dim">
        {description !== '' && <bdi className="description">{description}</bdi>}
        {tags.map((tag) => (
          <span key={tag} className="tag cut" title={tag}>
            <bdi>{tag}</bdi>
          </span>
        ))}
        <span className="small">{t('detail.since', { time: dateTime(updated_at, i18n.language) })}</span>
      </p>
    </>
  )
}

function Conditions({ conditions }: { conditions: Shown['conditions'] }) {
  const { t } = useTranslation()
  const word = (type: string) => (isProcess(type) ? t(`detail.${type}`) : type)
  return (
    <section aria-label={t('detail.sync')}>
      <h3>{t('detail.sync')}</h3>
      <ul className="conditions">
        {conditions.map(({ type, status, message, reason }) => (
          <li key={type}>
            <SyncStatus sync={status ? 'applied' : reason === 'refused' ? 'failed' : 'pending'} /> {word(type)}{' '}
            <span className="dim">{sentence(said(message))}</span>
          </li>
        ))}
      </ul>
    </section>
  )
}
