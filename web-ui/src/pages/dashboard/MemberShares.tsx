/** How the busiest services' new connections are shared among their members. */
import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { membersQuery } from '../../api/queries.ts'
import { given, NO_RATES, shares } from '../../live/rates.ts'
import { useRecent } from '../../live/traffic.ts'
import { giverOf } from '../../services/modes.ts'
import type { ServiceRow } from '../../services/useServiceRows.ts'
import { Card } from '../../ui/Card.tsx'
import { percent } from '../../ui/format.ts'

const SHARE_S = 60
const SERVICES = 3
const MEMBERS = 6

export function MemberShares({ rows }: { rows: readonly ServiceRow[] | undefined }) {
  const { t } = useTranslation()
  const samples = useRecent(SHARE_S)
  const made = (id: string) => samples.reduce((sum, one) => sum + given(one.services.get(id) ?? NO_RATES), 0)
  const busiest = (rows ?? [])
    .map((row) => ({ row, made: made(row.service.id) }))
    .filter(({ made }) => made > 0)
    .sort((a, b) => b.made - a.made)
    .slice(0, SERVICES)
  return (
    <Card title={t('dashboard.share')} className="span-side">
      {busiest.length === 0 && <p className="dim">{t('dashboard.shareEmpty')}</p>}
      {busiest.map(({ row }) => (
        <Group key={row.service.id} row={row} />
      ))}
    </Card>
  )
}

function Group({ row: { service } }: { row: ServiceRow }) {
  const { t } = useTranslation()
  const samples = useRecent(SHARE_S)
  const poolId = service.default_pool_id
  const { data: members = [] } = useQuery({ ...membersQuery(poolId ?? ''), enabled: poolId !== null })
  const share = shares(
    samples,
    giverOf(service),
    members.map(({ id }) => id),
  )
  const most = [...members].sort((a, b) => (share.get(b.id) ?? 0) - (share.get(a.id) ?? 0)).slice(0, MEMBERS)
  return (
    <div className="share-group">
      <p className="share-title">
        <bdi className="cut">
          <b>{service.name}</b>
        </bdi>{' '}
        <span className="dim small nowrap">{t('members.count', { count: members.length })}</span>
      </p>
      {most.map((member) => (
        <div key={member.id} className="share-row">
          <bdi className="mono share-name" title={`${member.address}:${member.port}`}>
            {member.name}
          </bdi>
          <span className="meter" aria-hidden="true">
            <span style={{ width: percent(share.get(member.id) ?? 0) }} />
          </span>
          <span className="number">{percent(share.get(member.id) ?? 0)}</span>
        </div>
      ))}
    </div>
  )
}
