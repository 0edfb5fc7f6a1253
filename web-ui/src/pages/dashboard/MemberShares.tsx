/** How each service's new connections are shared among its members. */
import { useTranslation } from 'react-i18next'
import { shares } from '../../live/rates.ts'
import { useRecent } from '../../live/traffic.ts'
import type { ServiceRow } from '../../services/useServiceRows.ts'
import { Card } from '../../ui/Card.tsx'
import { percent } from '../../ui/format.ts'

const SHARE_S = 60
const SERVICES = 3
const MEMBERS = 6

export function MemberShares({ rows }: { rows: readonly ServiceRow[] | undefined }) {
  const { t } = useTranslation()
  const samples = useRecent(SHARE_S)
  const groups = (rows ?? [])
    .map(({ service, members = [] }) => {
      const ids = members.map(({ id }) => id)
      return { service, members, share: shares(samples, service.id, ids) }
    })
    .filter(({ share }) => share.size > 0)
    .slice(0, SERVICES)
  return (
    <Card title={t('dashboard.share')} className="span-side">
      {groups.length === 0 && <p className="dim">{t('dashboard.shareEmpty')}</p>}
      {groups.map(({ service, members, share }) => (
        <div key={service.id} className="share-group">
          <p className="share-title">
            <b>{service.name}</b> <span className="dim small">{t('dashboard.members', { count: members.length })}</span>
          </p>
          {members.slice(0, MEMBERS).map((member) => (
            <div key={member.id} className="share-row">
              <span className="mono share-name" title={`${member.address}:${member.port}`}>
                {member.name}
              </span>
              <span className="meter" aria-hidden="true">
                <span style={{ width: percent(share.get(member.id) ?? 0) }} />
              </span>
              <span className="number">{percent(share.get(member.id) ?? 0)}</span>
            </div>
          ))}
        </div>
      ))}
    </Card>
  )
}
