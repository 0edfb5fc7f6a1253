/** One way through the appliance: address, service, pool, members, with the lines between them. */
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import type { Member } from '../../api/client.ts'
import { membersQuery } from '../../api/queries.ts'
import { pools, virtualIps } from '../../api/resources.ts'
import { useOne } from '../../api/useOne.ts'
import { said } from '../../i18n/index.ts'
import { addRates, given, memberKey, NO_RATES } from '../../live/rates.ts'
import { bits, useRecent } from '../../live/traffic.ts'
import { isProxied, modeOf, portsOf } from '../../services/modes.ts'
import { memberFacts, poolFacts, serves, severity } from '../../status/facts.ts'
import { useReason } from '../../status/useReason.ts'
import { bitRate, perSecond } from '../../ui/format.ts'
import { Glyph, healthTone } from '../../ui/Status.tsx'
import type { Line, Place } from './tree.ts'

/** More than these are counted: those in trouble are among the first. */
const TILES = 18

export function MapLine({ line, named }: { line: Line; named: boolean }) {
  const { virtualIpId, others, inAddress, row, inService, poolId, rule } = line
  const tone = healthTone(row.facts.health)
  return (
    <div className={inAddress.first ? 'topology-line begins' : 'topology-line'}>
      {inAddress.first || named ? <Address id={virtualIpId} others={others} /> : <span />}
      <Join
        at={inService.first ? inAddress : { first: false, last: inAddress.last }}
        through={!inService.first}
        tone={tone}
      />
      {inService.first || named ? <Service line={line} /> : <span />}
      <Join at={inService} tone={tone} />
      <Pool id={poolId} rule={rule} />
      <Join at={{ first: true, last: true }} tone={tone} />
      {poolId === null ? (
        <span />
      ) : (
        <Members poolId={poolId} giver={isProxied(row.service) ? poolId : row.service.id} />
      )}
    </div>
  )
}

/** From the node of the column before to this line; `through` where this line has no node of its own in this column. */
function Join({ at, through = false, tone }: { at: Place; through?: boolean; tone: string }) {
  return (
    <svg className={`join tone-${tone}`} viewBox="0 0 28 64" preserveAspectRatio="none" aria-hidden="true">
      {at.first && <path d="M0 32H14" />}
      {!at.first && <path d="M14 0V32" />}
      {!at.last && <path d="M14 32V64" />}
      {!through && <path d="M14 32H28" />}
    </svg>
  )
}

function Address({ id, others }: { id: string; others: number }) {
  const { t } = useTranslation()
  const { data } = useOne(virtualIps, id)
  return (
    <Link className="map-node" to="/virtual-ips/$virtualIpId" params={{ virtualIpId: id }}>
      <span className="mono cut">{data?.address ?? t('common.none')}</span>
      {(others > 0 || (data !== undefined && data.name !== data.address)) && (
        <span className="map-line cut">
          <bdi className="cut">{data?.name !== data?.address ? data?.name : ''}</bdi>
          {others > 0 && <span>+{others}</span>}
        </span>
      )}
    </Link>
  )
}

function Service({ line: { row } }: { line: Line }) {
  const { service, facts } = row
  const reasonOf = useReason()
  const now = useRecent(2).at(-1)?.services.get(service.id)
  const tone = healthTone(facts.health)
  return (
    <Link
      className={`map-node node-${tone}`}
      to="/virtual-services/$serviceId"
      params={{ serviceId: service.id }}
      title={reasonOf(facts)}
    >
      <span className="map-name">
        <Glyph tone={tone} size={12} />
        <b className="cut">
          <bdi>{service.name}</bdi>
        </b>
      </span>
      <span className="map-line cut">
        {modeOf(service)} :{portsOf(service)} · {perSecond(given(now ?? NO_RATES))} · {bitRate(bits(now))}
      </span>
    </Link>
  )
}

function Pool({ id, rule }: { id: string | null; rule: string | null }) {
  const { t } = useTranslation()
  const { data } = useOne(pools, id ?? '')
  if (id === null) return <span className="map-node node-down">{t('detail.noPool')}</span>
  const tone = data === undefined ? 'unknown' : healthTone(poolFacts(data).health)
  return (
    <Link className={`map-node node-${tone}`} to="/pools/$poolId" params={{ poolId: id }}>
      <span className="map-name">
        <Glyph tone={tone} size={12} />
        <b className="cut">
          <bdi>{data?.name}</bdi>
        </b>
      </span>
      <span className="map-line cut">
        {rule === null ? data && t(`algorithm.${data.algorithm}`) : t('topology.byRule', { rule })}
      </span>
    </Link>
  )
}

function Members({ poolId, giver }: { poolId: string; giver: string }) {
  const { t } = useTranslation()
  const { data: members } = useQuery(membersQuery(poolId))
  const now = useRecent(2).at(-1)
  if (members === undefined) return <span />
  const worst = [...members].sort((a, b) => severity(memberFacts(a)) - severity(memberFacts(b)))
  const sum = members.map(({ id }) => now?.members.get(memberKey(giver, id)) ?? NO_RATES).reduce(addRates, NO_RATES)
  const ready = members.filter((member) => serves(memberFacts(member).health)).length
  return (
    <div className="topology-members">
      <span className="map-line">
        <b>
          {ready}/{members.length}
        </b>
        {members.length === 0 ? t('detail.noMembers') : perSecond(given(sum))}
      </span>
      <ul className="tiles" aria-label={t('detail.members')}>
        {worst.slice(0, TILES).map((member) => (
          <Tile key={member.id} member={member} />
        ))}
        {members.length > TILES && <li className="dim small">+{members.length - TILES}</li>}
      </ul>
    </div>
  )
}

function Tile({ member }: { member: Member }) {
  const { t } = useTranslation()
  const facts = memberFacts(member)
  const tone = healthTone(facts.health)
  const words = `${member.address}:${member.port} ${t(`health.${facts.health}`)}${facts.words ? `: ${said(facts.words)}` : ''}`
  return (
    <li className={`tile tile-${tone}`} title={words}>
      {tone !== 'up' && <Glyph tone={tone} size={12} />}
      <span className="visually-hidden">{words}</span>
    </li>
  )
}
