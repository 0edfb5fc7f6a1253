/** The processes and ports that forward, and what was dropped for which reason. */
import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { statsQuery, statusQuery } from '../../api/queries.ts'
import { said } from '../../i18n/index.ts'
import { Card } from '../../ui/Card.tsx'
import { count } from '../../ui/format.ts'
import { Glyph } from '../../ui/Status.tsx'

export function PlaneCard() {
  const { t } = useTranslation()
  const { data: status } = useQuery(statusQuery)
  const { data: stats } = useQuery(statsQuery)
  const processes =
    status && Object.entries(status.processes).map(([role, process]) => ({ name: `penstock-${role}`, ...process }))
  const drops = Object.entries(stats?.accounting.drops ?? {}).sort(([, a], [, b]) => b - a)
  return (
    <Card title={t('dashboard.plane')} className="span-all">
      <div className="plane">
        <ul className="lines" aria-label={t('dashboard.process')}>
          {processes?.map(({ name, connected, version }) => (
            <li key={name}>
              <Glyph tone={connected ? 'up' : 'down'} />
              <span className="mono">{name}</span>
              <span className="dim">
                {connected ? `${t('dashboard.connected')} · ${version ?? ''}` : t('dashboard.away')}
              </span>
            </li>
          ))}
        </ul>
        <ul className="lines" aria-label={t('dashboard.port')}>
          {stats?.ports.map(({ name, up, driver }) => (
            <li key={name}>
              <Glyph tone={up ? 'up' : 'down'} />
              <span className="mono">{name}</span>
              <span className="dim">
                {up ? t('dashboard.linkUp') : t('dashboard.linkDown')} · {said(driver)}
              </span>
            </li>
          ))}
        </ul>
        <div>
          <p className="field-label">{t('dashboard.drops')}</p>
          {drops.length === 0 && <p className="dim">{t('dashboard.noDrops')}</p>}
          <ul className="lines">
            {drops.slice(0, 4).map(([reason, frames]) => (
              <li key={reason}>
                <span className="mono grow">{reason}</span>
                <span className="number">{count(frames)}</span>
              </li>
            ))}
          </ul>
        </div>
      </div>
    </Card>
  )
}
