/** What somebody should look at, with the reason; otherwise that there is nothing. */
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { certificatesQuery, statsQuery, statusQuery } from '../../api/queries.ts'
import { isProxied } from '../../services/modes.ts'
import type { ServiceRow } from '../../services/useServiceRows.ts'
import { useExpiry } from '../../status/expiry.ts'
import { useReason } from '../../status/useReason.ts'
import { said } from '../../i18n/index.ts'
import { sentence } from '../../ui/bidi.ts'
import { Card } from '../../ui/Card.tsx'
import { useProblemText } from '../../ui/ProblemNote.tsx'
import { Glyph, type Tone } from '../../ui/Status.tsx'

interface Item {
  key: string
  tone: Tone
  title: string
  text: string
  serviceId?: string
}

const WORST: readonly Tone[] = ['down', 'degraded', 'draining']

export function AttentionList({ rows }: { rows: readonly ServiceRow[] | undefined }) {
  const { t } = useTranslation()
  const items = [...useApplianceItems(rows), ...useServiceItems(rows)].sort(
    (a, b) => WORST.indexOf(a.tone) - WORST.indexOf(b.tone),
  )
  return (
    <Card
      title={t('dashboard.attention')}
      aside={items.length > 0 && <span className="badge">{items.length}</span>}
      className="span-side"
    >
      {items.length === 0 ? (
        <div className="quiet-note">
          <Glyph tone="up" size={16} />
          <div>
            <p>{t('dashboard.allQuiet')}</p>
            <p className="small dim">{t('dashboard.allQuietHelp')}</p>
          </div>
        </div>
      ) : (
        <ul className="attention">
          {items.map((item) => (
            <Entry key={item.key} item={item} />
          ))}
        </ul>
      )}
    </Card>
  )
}

function Entry({ item: { tone, title, text, serviceId } }: { item: Item }) {
  return (
    <li>
      <Glyph tone={tone} size={16} />
      <div className="grow">
        {serviceId === undefined ? (
          <p className="attention-title">
            <bdi>{title}</bdi>
          </p>
        ) : (
          <Link className="attention-title mono" to="/virtual-services/$serviceId" params={{ serviceId }}>
            <bdi>{title}</bdi>
          </Link>
        )}
        <p className="small dim">{text}</p>
      </div>
    </li>
  )
}

function useServiceItems(rows: readonly ServiceRow[] | undefined): Item[] {
  const reasonOf = useReason()
  return (rows ?? []).flatMap(({ service, facts }): Item[] => {
    const base = { key: service.id, title: service.name, serviceId: service.id }
    if (facts.health === 'down' || facts.health === 'degraded' || facts.health === 'draining') {
      return [{ ...base, tone: facts.health, text: reasonOf(facts) }]
    }
    return []
  })
}

function useApplianceItems(rows: readonly ServiceRow[] | undefined): Item[] {
  const { t } = useTranslation()
  const { data: status, error: statusError } = useQuery(statusQuery)
  const { data: stats, error: statsError } = useQuery(statsQuery)
  const problemText = useProblemText()
  const { data: certificates } = useQuery(certificatesQuery)
  const expiry = useExpiry()
  const items: Item[] = []
  if (statusError !== null)
    items.push({ key: 'status', tone: 'down', title: t('problem.title'), text: problemText(statusError) })
  if (status !== undefined) {
    const { processes, generation, observed_generation, failure, off_link } = status
    const proxied = rows?.some(({ service }) => isProxied(service)) ?? false
    const away = Object.entries(processes)
      .map(([role, process]) => ({ role, name: `penstock-${role}`, ...process }))
      // Without a service of layer 7 nobody misses its plane.
      .filter(({ connected, role }) => !connected && (role !== 'l7' || proxied))
    for (const { name } of away) {
      items.push({ key: name, tone: 'down', title: t('attention.plane', { name }), text: t('attention.planeHelp') })
    }
    if (failure !== null) {
      items.push({
        key: 'failed',
        tone: 'down',
        title: t('attention.failed', { n: generation }),
        text: sentence(said(failure)),
      })
    } else if (observed_generation < generation) {
      const text = t('attention.pendingHelp', { n: observed_generation })
      items.push({ key: 'pending', tone: 'degraded', title: t('attention.pending', { n: generation }), text })
    }
    for (const address of off_link) {
      const title = t('attention.offLink', { address })
      items.push({ key: address, tone: 'degraded', title, text: t('attention.offLinkHelp') })
    }
  }
  for (const { name, up, driver } of stats?.ports ?? []) {
    if (!up)
      items.push({ key: `port ${name}`, tone: 'down', title: t('attention.linkDown', { name }), text: said(driver) })
  }
  if (statsError !== null && statusError === null) {
    items.push({ key: 'stats', tone: 'degraded', title: t('attention.statsAway'), text: problemText(statsError) })
  }
  for (const certificate of certificates ?? []) {
    const { tone, text } = expiry(certificate)
    if (tone !== 'up') {
      items.push({ key: certificate.id, tone, title: certificate.name, text: `${t('attention.certificate')}: ${text}` })
    }
  }
  return items
}
