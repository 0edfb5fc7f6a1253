/** The services that carry the most now. */
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { bits, courseOf, useRecent } from '../../live/traffic.ts'
import { MemberBar } from '../../members/MemberBar.tsx'
import type { ServiceRow } from '../../services/useServiceRows.ts'
import { Card } from '../../ui/Card.tsx'
import { bitRate, count } from '../../ui/format.ts'
import { Sparkline } from '../../ui/Sparkline.tsx'
import { Glyph, healthTone } from '../../ui/Status.tsx'

const SHOWN = 6
const TREND_S = 300

export function Busiest({ rows }: { rows: readonly ServiceRow[] | undefined }) {
  const { t } = useTranslation()
  const samples = useRecent(TREND_S)
  const now = samples.at(-1)
  // By what they carried over the whole time, so that rows do not change places every second.
  const carried = (id: string) => samples.reduce((sum, one) => sum + bits(one.services.get(id)), 0)
  const busiest = (rows ?? [])
    .map((row) => ({ row, carried: carried(row.service.id) }))
    .sort((a, b) => b.carried - a.carried)
    .slice(0, SHOWN)
  return (
    <Card
      title={t('dashboard.busiest')}
      aside={<Link to="/virtual-services">{t('dashboard.viewAll')}</Link>}
      className="span-main"
    >
      <table className="table busiest">
        <thead>
          <tr>
            <th>{t('field.name')}</th>
            <th>{t('services.members')}</th>
            <th className="number only-wide">{t('services.connections')}</th>
            <th className="number">{t('services.throughput')}</th>
            <th className="only-wide">{t('services.trend')}</th>
          </tr>
        </thead>
        <tbody>
          {busiest.map(({ row: { service, facts } }) => (
            <tr key={service.id}>
              <td>
                <span className="named" title={t(`health.${facts.health}`)}>
                  <Glyph tone={healthTone(facts.health)} />
                  <span className="visually-hidden">{t(`health.${facts.health}`)}</span>
                  <Link
                    className="name-link"
                    to="/virtual-services/$serviceId"
                    params={{ serviceId: service.id }}
                    title={service.name}
                  >
                    <bdi>{service.name}</bdi>
                  </Link>
                </span>
              </td>
              <td>
                <MemberBar poolId={service.default_pool_id} />
              </td>
              <td className="number only-wide">{count(now?.services.get(service.id)?.connections ?? 0)}</td>
              <td className="number">{bitRate(bits(now?.services.get(service.id)))}</td>
              <td className="only-wide">
                <Sparkline values={courseOf(samples, service.id)} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Card>
  )
}
