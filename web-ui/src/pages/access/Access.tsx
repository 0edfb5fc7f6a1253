/** Who may connect, and how much: lists of networks, limits of connections and of requests, with what they turned away lately. */
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import type { Schemas, Stats } from '../../api/client.ts'
import { firstOf, statsQuery } from '../../api/queries.ts'
import { policies } from '../../api/resources.ts'
import { isProxied, layerOf } from '../../services/modes.ts'
import { type ServiceRow, useServiceRows } from '../../services/useServiceRows.ts'
import { isolated } from '../../ui/bidi.ts'
import { Card } from '../../ui/Card.tsx'
import { Empty } from '../../ui/Empty.tsx'
import { count } from '../../ui/format.ts'
import { Names } from '../../ui/list/cells.tsx'

type Policy = Schemas['PolicyView']

/** Reasons of the data plane that come of what is set here. */
const REASONS = [
  'denied',
  'service_full',
  'members_full',
  'connection_rate',
  'source_rate',
  'source_packet_rate',
  'packet_rate',
  'bit_rate',
] as const
/** The same of the layer-7 plane. */
const LIMITED = 'rate_limited'

interface Ruled {
  row: ServiceRow
  limits: readonly Policy[]
  /** Requests that were over a limit, since the plane was started. */
  limited: number
}

const isRuled = ({ row: { service }, limits }: Ruled) =>
  service.allowed_cidrs.length > 0 ||
  service.denied_cidrs.length > 0 ||
  service.connection_limit !== null ||
  (service.rate_limit ?? null) !== null ||
  limits.length > 0

const limitedOf = (stats: Stats | undefined, id: string) => {
  const endings = stats?.l7?.services.find(({ virtual_service_id }) => virtual_service_id === id)?.endings
  return (endings as Record<string, number> | undefined)?.[LIMITED] ?? 0
}

export function Access() {
  const { t } = useTranslation()
  const { rows } = useServiceRows()
  const { data: rules } = useQuery(firstOf(policies))
  const { data: stats } = useQuery(statsQuery)
  const ruled = useMemo(
    () =>
      rows
        ?.map((row): Ruled => {
          const { id } = row.service
          const limits =
            rules?.items.filter(({ virtual_service_id, rate_limit }) => virtual_service_id === id && rate_limit) ?? []
          return { row, limits, limited: limitedOf(stats, id) }
        })
        .filter(isRuled),
    [rows, rules, stats],
  )
  const drops = stats?.accounting.drops as Record<string, number> | undefined
  return (
    <>
      <div className="page-head">
        <h1>{t('nav.access')}</h1>
      </div>
      <div className="stack">
        <Card title={t('access.turnedAway')}>
          <dl className="facts">
            {REASONS.map((reason) => (
              <div key={reason}>
                <dt>{t(`access.${reason}`)}</dt>
                <dd>{count(drops?.[reason] ?? 0)}</dd>
              </div>
            ))}
            <div>
              <dt>{t('access.rate_limited')}</dt>
              <dd>{count(rows?.reduce((sum, { service }) => sum + limitedOf(stats, service.id), 0) ?? 0)}</dd>
            </div>
          </dl>
          <p className="small dim">{t('access.since')}</p>
        </Card>
        <section className="card flush" aria-label={t('access.services')}>
          {ruled?.length === 0 && <Empty title={t('access.empty')} help={t('access.emptyHelp')} />}
          {ruled !== undefined && ruled.length > 0 && <Table ruled={ruled} />}
        </section>
      </div>
    </>
  )
}

function Table({ ruled }: { ruled: readonly Ruled[] }) {
  const { t } = useTranslation()
  return (
    <div className="scroll-x">
      <table className="table">
        <thead>
          <tr>
            <th>{t('detail.service')}</th>
            <th>{t('field.allowedCidrs')}</th>
            <th>{t('field.deniedCidrs')}</th>
            <th className="number">{t('field.connectionLimit')}</th>
            <th>{t('field.rateLimit')}</th>
            <th className="number">{t('access.rate_limited')}</th>
          </tr>
        </thead>
        <tbody>
          {ruled.map(({ row: { service }, limits, limited }) => (
            <tr key={service.id}>
              <td>
                <span className="named">
                  <span className="tag">{layerOf(service)}</span>
                  <Link to="/virtual-services/$serviceId" params={{ serviceId: service.id }} className="name-link">
                    <bdi>{service.name}</bdi>
                  </Link>
                </span>
              </td>
              <td className="mono">
                <Names names={service.allowed_cidrs} />
              </td>
              <td className="mono">
                <Names names={service.denied_cidrs} />
              </td>
              <td className="number">
                {service.connection_limit === null ? t('common.none') : count(service.connection_limit)}
              </td>
              <td>
                <Names names={limits.map((policy) => `${isolated(policy.name)}: ${limitText(policy)}`)} />
              </td>
              <td className="number">{isProxied(service) ? count(limited) : t('common.none')}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

const limitText = ({ rate_limit }: Policy) =>
  rate_limit ? `${count(rate_limit.requests)} / ${rate_limit.per_s ?? 1} s` : ''
