/** One virtual service beside the list: facts, map, traffic, members. */
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useReadOnly } from '../../app/usePermission.ts'
import { isProblem } from '../../api/problem.ts'
import { membersQuery, oneOf, poolsQuery, virtualIpsQuery } from '../../api/queries.ts'
import { services } from '../../api/resources.ts'
import { useSummed } from '../../live/history.ts'
import { bits, useRecent } from '../../live/traffic.ts'
import { MemberTable } from '../../members/MemberTable.tsx'
import { useServiceFields } from '../../resources/services.ts'
import { giverOf, isProxied, layerOf, modeOf, portsOf } from '../../services/modes.ts'
import { serviceFacts } from '../../status/facts.ts'
import { About } from '../../ui/About.tsx'
import { DetailDrawer, Pairs } from '../../ui/DetailDrawer.tsx'
import { EditModal } from '../../ui/form/modals.tsx'
import { RemoveModal } from '../../ui/RemoveModal.tsx'
import { bitRate, count } from '../../ui/format.ts'
import { Legend } from '../../ui/Legend.tsx'
import { later } from '../../ui/later.tsx'
import { ResourceMap } from './ResourceMap.tsx'

/** The map and the members are there before the library that draws. */
const TimeChart = later(async () => (await import('../../ui/TimeChart.tsx')).TimeChart)

const route = getRouteApi('/virtual-services/$serviceId')
const CHART_S = 900
const COLUMNS = [
  { metric: 'bytes_in', times: 8 },
  { metric: 'bytes_out', times: 8 },
]

export function ServiceDetail() {
  const { t } = useTranslation()
  const { serviceId } = route.useParams()
  const navigate = useNavigate()
  const readOnly = useReadOnly()
  const { data: service, error } = useQuery(oneOf(services, serviceId))
  const [doing, setDoing] = useState<'edit' | 'remove' | null>(null)
  const fields = useServiceFields()
  const rate = useRecent(2).at(-1)?.services.get(serviceId)?.connections ?? 0
  const close = () => void navigate({ to: '/virtual-services', search: (now) => now })
  const facts = service && serviceFacts(service)
  return (
    <DetailDrawer
      name={service?.name}
      facts={facts}
      close={close}
      edit={readOnly === undefined ? () => setDoing('edit') : undefined}
      remove={readOnly === undefined ? () => setDoing('remove') : undefined}
      gone={isProblem(error, 'not_found')}
    >
      {service !== undefined && facts !== undefined && (
        <>
          <Live serviceId={serviceId} />
          <About resource={service} facts={facts} />
          <Inside serviceId={serviceId} />
        </>
      )}
      {doing === 'edit' && service !== undefined && (
        <EditModal
          title={t('services.edit', { name: service.name })}
          of={services}
          id={serviceId}
          fields={fields}
          close={() => setDoing(null)}
        />
      )}
      {doing === 'remove' && service !== undefined && (
        <RemoveModal from={services} resource={service} close={() => setDoing(null)} done={close} typed={rate > 0}>
          {t('remove.service', { rate: count(rate) })}
        </RemoveModal>
      )}
    </DetailDrawer>
  )
}

function Live({ serviceId }: { serviceId: string }) {
  const { t } = useTranslation()
  const { data: service } = useQuery(oneOf(services, serviceId))
  const { data: virtualIps } = useQuery(virtualIpsQuery)
  const now = useRecent(2).at(-1)?.services.get(serviceId)
  if (service === undefined) return null
  const addresses = virtualIps?.filter(({ id }) => service.virtual_ip_ids.includes(id)).map(({ address }) => address)
  return (
    <Pairs
      pairs={[
        [
          t('field.address'),
          <span key="address" className="mono">{`${addresses?.join(', ') ?? ''}:${portsOf(service)}`}</span>,
        ],
        [t('services.mode'), `${layerOf(service)} · ${modeOf(service)}`],
        [t('services.connections'), count(now?.connections ?? 0)],
        isProxied(service)
          ? [t('detail.requests'), count(now?.requests ?? 0)]
          : [t('detail.packets'), count(now?.packets ?? 0)],
        [t('services.throughput'), bitRate(bits(now))],
      ]}
    />
  )
}

function Inside({ serviceId }: { serviceId: string }) {
  const { t } = useTranslation()
  const { data: service } = useQuery(oneOf(services, serviceId))
  const poolId = service?.default_pool_id ?? null
  const { data: pools } = useQuery(poolsQuery)
  const { data: members } = useQuery({ ...membersQuery(poolId ?? ''), enabled: poolId !== null })
  const pool = pools?.find(({ id }) => id === poolId)
  if (service === undefined) return null
  return (
    <>
      <section aria-label={t('detail.map')}>
        <ResourceMap service={service} pool={pool} members={members ?? []} />
      </section>
      <TrafficChart serviceId={serviceId} />
      {members !== undefined && poolId !== null && (
        <MemberTable giver={giverOf(service)} poolId={poolId} members={members} />
      )}
    </>
  )
}

function TrafficChart({ serviceId }: { serviceId: string }) {
  const { t } = useTranslation()
  const asked = { resource: 'virtual-services', ids: [serviceId], metrics: ['bytes_in', 'bytes_out'] } as const
  const shown = useSummed({ ...asked, seconds: CHART_S }, COLUMNS)
  const labels: [string, string] = [t('dashboard.inbound'), t('dashboard.outbound')]
  return (
    <section aria-label={t('detail.traffic')}>
      <div className="section-head">
        <h3>{t('detail.traffic')}</h3>
        <Legend labels={labels} />
      </div>
      <div className="chart-room">
        <TimeChart series={shown} labels={labels} span={CHART_S} format={bitRate} height={160} />
      </div>
    </section>
  )
}
