/**
 * Connections of the layer-4 plane as they are now: filtered by the appliance, as many as fit on the screen, held still for who
 * wants to read. One can be ended, which nothing undoes.
 */
import { Button, Menu, Select, TextInput } from '@mantine/core'
import { keepPreviousData, useInfiniteQuery, useQuery, useQueryClient } from '@tanstack/react-query'
import { getRouteApi, Link, Outlet, useNavigate } from '@tanstack/react-router'
import { IconPlayerPause, IconPlayerPlay, IconPlugConnectedX, IconRoute } from '@tabler/icons-react'
import { useDeferredValue, useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { answer, api, type Schemas } from '../../api/client.ts'
import { cursorOf } from '../../api/collection.ts'
import { servicesQuery } from '../../api/queries.ts'
import { useReadOnly } from '../../app/usePermission.ts'
import { isProxied } from '../../services/modes.ts'
import { DangerModal } from '../../ui/DangerModal.tsx'
import { Empty } from '../../ui/Empty.tsx'
import { age } from '../../ui/format.ts'
import type { Column } from '../../ui/list/columns.ts'
import { DataTable } from '../../ui/list/DataTable.tsx'
import { RowMenu } from '../../ui/list/RowMenu.tsx'
import { ProblemNote } from '../../ui/ProblemNote.tsx'
import { showToast } from '../../ui/toasts.ts'
import { endText } from './ends.ts'
import type { ConnectionSearch } from './query.ts'

type Connection = Schemas['Connection']

const route = getRouteApi('/connections')
const KEY = 'connections'
const AT_ONCE = 100
/** So many pages are read anew together; of more one is told that they stand still. */
const LIVE_PAGES = 5
const AGAIN_MS = 2000
const STATES = ['opening', 'established', 'closing', 'reset'] as const

function useConnections(search: ConnectionSearch, frozen: boolean) {
  const asked = useDeferredValue(search)
  return useInfiniteQuery({
    queryKey: [KEY, asked],
    queryFn: ({ pageParam, signal }) => {
      const params = { query: { ...asked, limit: AT_ONCE, ...(pageParam && { cursor: pageParam }) } }
      return answer(api.GET('/api/v1/connections', { params: params as object, signal }))
    },
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => cursorOf(last),
    refetchInterval: ({ state }) => (frozen || (state.data?.pages.length ?? 0) > LIVE_PAGES ? false : AGAIN_MS),
    placeholderData: keepPreviousData,
    retry: false,
  })
}

export function Connections() {
  const { t } = useTranslation()
  const search = route.useSearch()
  const [frozen, setFrozen] = useState(false)
  const [ending, setEnding] = useState<Connection | null>(null)
  const queries = useQueryClient()
  const readOnly = useReadOnly()
  const { data, error, refetch, hasNextPage, isFetchingNextPage, fetchNextPage } = useConnections(search, frozen)
  const rows = useMemo(() => data?.pages.flatMap(({ items }) => items), [data])
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
      <section className="card flush" aria-label={t('nav.connections')}>
        <Filters />
        <div className="filters">
          <span className="dim grow">
            {rows !== undefined && t('connections.shown', { n: rows.length })}
            {hasNextPage && ` ${t('connections.more')}`}
          </span>
          <Button
            size="compact-sm"
            variant="default"
            aria-pressed={frozen}
            leftSection={frozen ? <IconPlayerPlay size={14} /> : <IconPlayerPause size={14} />}
            onClick={() => setFrozen(!frozen)}
          >
            {t(frozen ? 'connections.goOn' : 'connections.freeze')}
          </Button>
        </div>
        {error !== null && (
          <div className="pad">
            <ProblemNote error={error} retry={() => void refetch()} />
          </div>
        )}
        {rows?.length === 0 && (
          <Empty
            title={t(filtered ? 'list.noMatch' : 'connections.empty')}
            {...(filtered ? {} : { help: t('connections.emptyHelp') })}
          />
        )}
        {rows !== undefined && rows.length > 0 && (
          <div className="scroll-x">
            <DataTable
              label={t('nav.connections')}
              rows={rows}
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
              more={hasNextPage && !isFetchingNextPage ? () => void fetchNextPage() : undefined}
            />
          </div>
        )}
      </section>
      {ending !== null && (
        <DangerModal
          title={t('connections.endTitle')}
          confirm={t('connections.end')}
          typed={endText(ending.client)}
          close={() => setEnding(null)}
          act={async () => {
            await answer(api.DELETE('/api/v1/connections/{id}', { params: { path: { id: ending.id } } }))
            showToast({ tone: 'up', text: t('connections.ended', { client: endText(ending.client) }) })
            await queries.invalidateQueries({ queryKey: [KEY] })
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
