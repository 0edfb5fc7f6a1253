/** How a connection gets from the virtual IP to a member. */
import { useTranslation } from 'react-i18next'
import type { ServiceRow } from '../../services/useServiceRows.ts'
import { memberAdmin, memberFacts } from '../../status/facts.ts'
import { Glyph, healthTone } from '../../ui/Status.tsx'

/** More than these are counted. */
const SHOWN = 6

export function ResourceMap({
  row: { service, addresses, members = [], facts },
  poolName,
}: {
  row: ServiceRow
  poolName: string | undefined
}) {
  const { t } = useTranslation()
  const tone = healthTone(facts.health)
  return (
    <div className="map">
      <div className="map-column">
        <p className="map-title">{t('detail.virtualIp')}</p>
        {addresses.map((address) => (
          <div key={address} className="map-node mono">
            {address}
          </div>
        ))}
      </div>
      <div className="map-column">
        <p className="map-title">{t('detail.service')}</p>
        <div className={`map-node node-${tone}`}>
          <b>{service.name}</b>
          <span className="map-line">
            <Glyph tone={tone} size={12} /> TCP {service.port}
          </span>
        </div>
      </div>
      <div className="map-column">
        <p className="map-title">{t('detail.pool')}</p>
        <div className="map-node">
          <b>{poolName ?? t('common.none')}</b>
          <span className="dim small">round robin</span>
        </div>
      </div>
      <div className="map-column">
        <p className="map-title">{t('detail.member')}</p>
        {members.slice(0, SHOWN).map((member) => (
          <div key={member.id} className={`map-node row node-${healthTone(memberFacts(member).health)}`}>
            <Glyph tone={healthTone(memberFacts(member).health)} size={12} />
            <span className="mono">
              {member.address}:{member.port}
            </span>
            {memberAdmin(member) !== 'enabled' && (
              <span className="dim small">{t(`admin.${memberAdmin(member)}`)}</span>
            )}
          </div>
        ))}
        {members.length > SHOWN && <span className="dim small">+ {members.length - SHOWN}</span>}
      </div>
    </div>
  )
}
