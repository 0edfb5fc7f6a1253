/**
 * Connections of the layer-4 plane as they are now: filtered by the appliance, as many as fit on the screen, held still for who
 * wants to read. One can be ended, which nothing undoes.
 */
import { Button, Menu, Select, TextInput } from '@mantine/core'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { getRouteApi, Link, Outlet, useNavigate } from '@tanstack/react-router'
import { IconPlugConnectedX, IconRoute } from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { answer, api, type Schemas } from '../../api/client.ts'
import { servicesQuery } from '../../api/queries.ts'
import { useObserved } from '../../api/useObserved.ts'
import { useReadOnly } from '../../app/usePermission.ts'
import { isProxied } from '../../services/modes.ts'
import { DangerModal } from '../../ui/DangerModal.tsx'
import { age } from '../../ui/format.ts'
import type { Column } from '../../ui/list/columns.ts'
import { ObservedList } from '../../ui/list/ObservedList.tsx'
import { RowMenu } from '../../ui/list/RowMenu.tsx'
import { showToast } from '../../ui/toasts.ts'
import { endText } from './ends.ts'
import type { ConnectionSearch } from './query.ts'

type Connection = Schemas['Connection']

const route = getRouteApi('/connections')
const PATH = '/api/v1/connections'
const STATES = ['opening', 'established', 'closing', 'reset'] as const

export function Connections() {
  const { t } = useTranslation()
  const search = route.useSearch()
  const [frozen, setFrozen] = useState(false)
  const [ending, setEnding] = useState<Connection | null>(null)
  const queries = useQueryClient()
  const readOnly = useReadOnly()
  const seen = useObserved(PATH, search, frozen)
  const columns = useColumns()
  const filtered = Object.values(search).some((one) => one !== undefined)
  return (
    <>
      <div className="page-head">
        <h1>{t('nav.connections')}</h1>
        <span className="tools">
          <Button component={Link} to="/connections/test" variant="default" leftSection={<IconRoute size={16} />}>
            {t('packet.title')}
          </Button>
        </span>
      </div>
      <ObservedList
        label={t('nav.connections')}
        seen={seen}
        filters={<Filters />}
        filtered={filtered}
        shown={(n) => t('connections.shown', { n })}
        empty={t('connections.empty')}
        emptyHelp={t('connections.emptyHelp')}
        frozen={frozen}
        setFrozen={setFrozen}
        columns={columns}
        idOf={({ id }) => id}
        nameOf={({ client }) => endText(client)}
        actions={
          readOnly !== undefined
            ? undefined
            : (connection) => (
                <RowMenu name={endText(connection.client)}>
                  <Menu.Item
                    className="danger"
                    leftSection={<IconPlugConnectedX size={14} />}
                    onClick={() => setEnding(connection)}
                  >
                    {t('connections.end')}
                  </Menu.Item>
                </RowMenu>
              )
        }
      />
      {ending !== null && (
        <DangerModal
          title={t('connections.endTitle')}
          confirm={t('connections.end')}
          typed={endText(ending.client)}
          close={() => setEnding(null)}
          act={async () => {
            await answer(api.DELETE('/api/v1/connections/{id}', { params: { path: { id: ending.id } } }))
            showToast({ tone: 'up', text: t('connections.ended', { client: endText(ending.client) }) })
            await queries.invalidateQueries({ queryKey: [PATH] })
          }}
        >
          {t('connections.endText')}
        </DangerModal>
      )}
      <Outlet />
    </>
  )
}

function Filters() {
  const { t } = useTranslation()
  const search = route.useSearch()
  const navigate = useNavigate()
  const { data: services = [] } = useQuery(servicesQuery)
  const set = (change: ConnectionSearch) =>
    void navigate({ to: '/connections', search: { ...search, ...change }, replace: true })
  return (
    <div className="filters">
      <TextInput
        className="search"
        type="search"
        aria-label={t('connections.client')}
        placeholder={t('connections.clientHelp')}
        value={search.client ?? ''}
        onChange={(event) => set({ client: event.currentTarget.value.trim() || undefined })}
      />
      <Select
        aria-label={t('detail.service')}
        placeholder={t('connections.anyService')}
        data={services.filter((one) => !isProxied(one)).map(({ id, name }) => ({ value: id, label: name }))}
        value={search.virtual_service_id ?? null}
        searchable
        clearable
        nothingFoundMessage={t('form.nothingFound')}
        onChange={(value) => set({ virtual_service_id: value ?? undefined })}
      />
      <Select
        aria-label={t('field.protocol')}
        placeholder={t('connections.anyProtocol')}
        data={['tcp', 'udp'].map((value) => ({ value, label: value.toUpperCase() }))}
        value={search.protocol ?? null}
        clearable
        onChange={(value) => set({ protocol: value ?? undefined })}
      />
      <Select
        aria-label={t('field.state')}
        placeholder={t('connections.anyState')}
        data={STATES.map((value) => ({ value, label: t(`connectionState.${value}`) }))}
        value={search.state ?? null}
        clearable
        onChange={(value) => set({ state: value ?? undefined })}
      />
    </div>
  )
}

function useColumns(): Column<Connection>[] {
  const { t } = useTranslation()
  const { data: services } = useQuery(servicesQuery)
  return useMemo(() => {
    const end = (one: Schemas['End']) => <span className="mono nowrap">{endText(one)}</span>
    return [
      {
        id: 'state',
        title: t('field.state'),
        phone: 'status',
        cell: ({ state }) => t(`connectionState.${state}`),
      },
      {
        id: 'client',
        title: t('connections.client'),
        phone: 'title',
        cell: ({ client, protocol }) => (
          <span className="nowrap">
            <span className="tag">{protocol.toUpperCase()}</span> {end(client)}
          </span>
        ),
      },
      { id: 'virtual-ip', title: t('detail.virtualIp'), cell: ({ virtual_ip }) => end(virtual_ip) },
      {
        id: 'service',
        title: t('detail.service'),
        phone: 'hidden',
        cell: ({ virtual_service_id: id }) =>
          id === null ? (
            <span className="dim">{t('common.none')}</span>
          ) : (
            <Link to="/virtual-services/$serviceId" params={{ serviceId: id }} className="name-link">
              <bdi>{services?.find((one) => one.id === id)?.name ?? id}</bdi>
            </Link>
          ),
      },
      {
        id: 'member',
        title: t('detail.member'),
        cell: ({ member, pool_id }) =>
          pool_id === null ? (
            end(member)
          ) : (
            <Link to="/pools/$poolId" params={{ poolId: pool_id }}>
              {end(member)}
            </Link>
          ),
      },
      {
        id: 'idle',
        title: t('connections.idle'),
        number: true,
        phone: 'right',
        cell: ({ idle_ms, timeout_ms }) => (
          <span title={t('connections.forgotten', { time: age(timeout_ms) })}>{age(idle_ms)}</span>
        ),
      },
      {
        id: 'worker',
        title: t('network.worker'),
        number: true,
        phone: 'hidden',
        roomy: true,
        cell: ({ worker }) => worker,
      },
    ]
  }, [t, services])
}
