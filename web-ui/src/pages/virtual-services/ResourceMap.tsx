/** How a connection gets from the virtual IP to a member; those in trouble first. */
import { Switch } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Member, Pool, VirtualService } from '../../api/client.ts'
import { virtualIpsQuery } from '../../api/queries.ts'
import { said } from '../../i18n/index.ts'
import { portsOf } from '../../services/modes.ts'
import { memberFacts, poolFacts, serves, serviceFacts, severity } from '../../status/facts.ts'
import { Glyph, healthTone } from '../../ui/Status.tsx'

/** More than these are counted. */
const SHOWN = 6

interface Props {
  service: VirtualService
  pool: Pool | undefined
  members: readonly Member[]
}

export function ResourceMap({ service, pool, members }: Props) {
  const { t } = useTranslation()
  const [troubled, setTroubled] = useState(false)
  const { data: virtualIps } = useQuery(virtualIpsQuery)
  const tone = healthTone(serviceFacts(service).health)
  const poolTone = pool === undefined ? 'down' : healthTone(poolFacts(pool).health)
  const inTrouble = members.filter((member) => !serves(memberFacts(member).health))
  const candidates = troubled ? inTrouble : members
  const shown = [...candidates].sort((a, b) => severity(memberFacts(a)) - severity(memberFacts(b))).slice(0, SHOWN)
  const rest = members.length - shown.length
  return (
    <>
      <div className="section-head">
        <h3>{t('detail.map')}</h3>
        {inTrouble.length > 0 && (
          <Switch
            size="xs"
            label={t('detail.troubledOnly')}
            checked={troubled}
            onChange={(event) => setTroubled(event.currentTarget.checked)}
          />
        )}
      </div>
      <div className="map">
        <div className="map-column">
          <p className="map-title">{t('detail.virtualIp')}</p>
          {service.virtual_ip_ids.map((id) => (
            <Link key={id} className="map-node mono" to="/virtual-ips/$virtualIpId" params={{ virtualIpId: id }}>
              {virtualIps?.find((one) => one.id === id)?.address}
            </Link>
          ))}
        </div>
        <Edge tones={[tone]} />
        <div className="map-column">
          <p className="map-title">{t('detail.service')}</p>
          <div className={`map-node node-${tone}`}>
            <b className="cut">
              <bdi>{service.name}</bdi>
            </b>
            <span className="map-line">
              <Glyph tone={tone} size={12} /> {service.protocol.toUpperCase()} {portsOf(service)}
            </span>
          </div>
        </div>
        <Edge tones={[poolTone]} />
        <div className="map-column">
          <p className="map-title">{t('detail.pool')}</p>
          {pool === undefined ? (
            <div className="map-node node-down">{t('detail.noPool')}</div>
          ) : (
            <Link className={`map-node node-${poolTone}`} to="/pools/$poolId" params={{ poolId: pool.id }}>
              <b className="cut">
                <bdi>{pool.name}</bdi>
              </b>
              <span className="map-line">
                {t(`algorithm.${pool.algorithm}`)} · {members.length - inTrouble.length}/{members.length}
              </span>
            </Link>
          )}
        </div>
        <Edge tones={shown.map((member) => healthTone(memberFacts(member).health))} />
        <div className="map-column">
          <p className="map-title">{t('detail.member')}</p>
          {shown.map((member) => {
            const facts = memberFacts(member)
            const memberTone = healthTone(facts.health)
            return (
              <div key={member.id} className={`map-node row node-${memberTone}`}>
                <Glyph tone={memberTone} size={12} />
                <span className="mono">
                  {member.address}:{member.port}
                </span>
                {!serves(facts.health) && (
                  <bdi className="map-word cut">
                    {facts.words === null ? t(`health.${facts.health}`) : said(facts.words)}
                  </bdi>
                )}
              </div>
            )
          })}
          {rest > 0 && <span className="dim small">{t('detail.moreMembers', { count: rest })}</span>}
        </div>
      </div>
    </>
  )
}

/** Lines from the middle of one column to each node of the next. */
function Edge({ tones }: { tones: readonly string[] }) {
  const height = Math.max(1, tones.length) * 40
  return (
    <svg className="map-edge" viewBox={`0 0 36 ${height}`} preserveAspectRatio="none" aria-hidden="true">
      {tones.map((tone, index) => {
        const y = 40 * index + 20
        return (
          <path
            // The lines have no identity but their place.
            key={index}
            className={`edge-line tone-${tone}`}
            d={`M0 ${height / 2} C18 ${height / 2} 18 ${y} 36 ${y}`}
          />
        )
      })}
    </svg>
  )
}
