/** One virtual service beside the list: facts, map, traffic, members. */
import { Button, Drawer, Modal } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { IconTrash } from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { answer, api, type VirtualService, WHATEVER_VERSION } from '../../api/client.ts'
import { keys, poolsQuery } from '../../api/queries.ts'
import { bits, series, useRecent } from '../../live/traffic.ts'
import { type ServiceRow, useServiceRows } from '../../services/useServiceRows.ts'
import { Empty } from '../../ui/Empty.tsx'
import { bitRate, count, dateTime } from '../../ui/format.ts'
import { Legend } from '../../ui/Legend.tsx'
import { ProblemNote } from '../../ui/ProblemNote.tsx'
import { AdminStatus, Glyph, HealthStatus, SyncStatus } from '../../ui/Status.tsx'
import { TimeChart } from '../../ui/TimeChart.tsx'
import { showToast } from '../../ui/toasts.ts'
import { Members } from './Members.tsx'
import { ResourceMap } from './ResourceMap.tsx'

const route = getRouteApi('/virtual-services/$serviceId')
const CHART_S = 300

export function ServiceDetail() {
  const { t } = useTranslation()
  const { serviceId } = route.useParams()
  const navigate = useNavigate()
  const { rows } = useServiceRows()
  const row = rows?.find(({ service }) => service.id === serviceId)
  const close = () => void navigate({ to: '/virtual-services' })
  return (
    <Drawer
      opened
      onClose={close}
      position="right"
      size={820}
      title={row?.service.name ?? ''}
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      {row !== undefined && <Content row={row} close={close} />}
      {rows !== undefined && row === undefined && <Empty title={t('detail.gone')} />}
    </Drawer>
  )
}

function Content({ row, close }: { row: ServiceRow; close: () => void }) {
  const { t } = useTranslation()
  const { service, members, facts } = row
  const { data: pools } = useQuery(poolsQuery)
  const pool = pools?.find(({ id }) => id === service.default_pool_id)
  return (
    <div className="detail">
      <Facts row={row} />
      {facts.health !== 'off' && (
        <p className={facts.health === 'down' ? 'note down' : 'note'}>
          <Glyph tone={facts.health === 'down' ? 'down' : 'unknown'} /> {t(`status.reason.${facts.reason}`)}
        </p>
      )}
      {facts.sync !== 'applied' && <SyncConditions service={service} />}
      <section aria-label={t('detail.map')}>
        <h3>{t('detail.map')}</h3>
        <ResourceMap row={row} poolName={pool?.name} />
      </section>
      <TrafficChart serviceId={service.id} />
      <section aria-label={t('detail.members')}>
        <h3>{t('detail.members')}</h3>
        {members !== undefined && service.default_pool_id !== null && (
          <Members serviceId={service.id} poolId={service.default_pool_id} members={members} />
        )}
      </section>
      <Remove service={service} close={close} />
    </div>
  )
}

function Facts({ row: { service, addresses, facts } }: { row: ServiceRow }) {
  const { t, i18n } = useTranslation()
  const now = useRecent(2).at(-1)?.services.get(service.id)
  const pairs: [string, React.ReactNode][] = [
    [t('health.label'), <HealthStatus key="health" facts={facts} />],
    [t('admin.label'), <AdminStatus key="admin" admin={facts.admin} />],
    [t('sync.label'), <SyncStatus key="sync" sync={facts.sync} reason={service.status_reason} />],
    [t('detail.address'), <span key="address" className="mono">{`${addresses.join(', ')}:${service.port}`}</span>],
    [t('detail.mode'), 'L4 · TCP · NAT'],
    [t('detail.connections'), count(now?.connections ?? 0)],
    [t('detail.packets'), count(now?.packets ?? 0)],
    [t('detail.throughput'), bitRate(bits(now))],
  ]
  return (
    <>
      <dl className="facts">
        {pairs.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <p className="small dim">{t('detail.since', { time: dateTime(service.updated_at, i18n.language) })}</p>
    </>
  )
}

function SyncConditions({ service: { conditions } }: { service: VirtualService }) {
  const { t } = useTranslation()
  const word = (type: string) => (type === 'forwarding' || type === 'host_applied' ? t(`detail.${type}`) : type)
  return (
    <section aria-label={t('detail.sync')}>
      <h3>{t('detail.sync')}</h3>
      <ul className="conditions">
        {conditions.map(({ type, status, message, reason }) => (
          <li key={type}>
            <SyncStatus sync={status ? 'applied' : reason === 'refused' ? 'failed' : 'pending'} /> {word(type)}{' '}
            <span className="dim">{message}</span>
          </li>
        ))}
      </ul>
    </section>
  )
}

function TrafficChart({ serviceId }: { serviceId: string }) {
  const { t } = useTranslation()
  const samples = useRecent(CHART_S)
  const shown = useMemo(
    () =>
      series(
        samples,
        (one) => one.services.get(serviceId)?.bitsIn ?? 0,
        (one) => one.services.get(serviceId)?.bitsOut ?? 0,
      ),
    [samples, serviceId],
  )
  const labels: [string, string] = [t('dashboard.inbound'), t('dashboard.outbound')]
  return (
    <section aria-label={t('detail.traffic')}>
      <div className="section-head">
        <h3>{t('detail.traffic')}</h3>
        <Legend labels={labels} />
      </div>
      <TimeChart series={shown} labels={labels} span={CHART_S} format={bitRate} height={160} />
    </section>
  )
}

function Remove({ service: { id, name }, close }: { service: VirtualService; close: () => void }) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const [asked, setAsked] = useState(false)
  const rate = useRecent(2).at(-1)?.services.get(id)?.connections ?? 0
  const remove = useMutation({
    mutationFn: () =>
      answer(api.DELETE('/api/v1/virtual-services/{id}', { params: { path: { id }, header: WHATEVER_VERSION } })),
    onSuccess: async () => {
      showToast({ tone: 'up', text: t('toast.serviceRemoved', { name }) })
      close()
      await queries.invalidateQueries({ queryKey: keys.services })
    },
  })
  return (
    <>
      <div className="form-end">
        <Button
          variant="default"
          className="danger"
          leftSection={<IconTrash size={16} />}
          onClick={() => setAsked(true)}
        >
          {t('detail.removeService')}
        </Button>
      </div>
      <Modal
        opened={asked}
        onClose={() => setAsked(false)}
        title={t('remove.title', { name })}
        closeButtonProps={{ 'aria-label': t('common.close') }}
      >
        {remove.error !== null && <ProblemNote error={remove.error} />}
        <p>{t('remove.text', { rate: count(rate) })}</p>
        <div className="form-end">
          <Button variant="default" data-autofocus onClick={() => setAsked(false)}>
            {t('common.cancel')}
          </Button>
          <Button className="danger-fill" loading={remove.isPending} onClick={() => remove.mutate()}>
            {t('remove.confirm')}
          </Button>
        </div>
      </Modal>
    </>
  )
}
