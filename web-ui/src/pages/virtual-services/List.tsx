/** All virtual services: problems first. */
import { getRouteApi, Outlet, useNavigate } from '@tanstack/react-router'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { Button, Menu } from '@mantine/core'
import { IconPlayerPlay, IconPlayerStop } from '@tabler/icons-react'
import { virtualIps } from '../../api/resources.ts'
import { useOne } from '../../api/useOne.ts'
import { useReadOnly } from '../../app/usePermission.ts'
import { bits, courseOf, useRecent } from '../../live/traffic.ts'
import { MemberBar } from '../../members/MemberBar.tsx'
import { layerOf, modeOf, portsOf } from '../../services/modes.ts'
import { type ServiceRow, useServiceRows } from '../../services/useServiceRows.ts'
import { severity } from '../../status/facts.ts'
import { later } from '../../ui/later.tsx'
import { bitRate, count } from '../../ui/format.ts'
import type { Column } from '../../ui/list/columns.ts'
import { ListPage, type Pill } from '../../ui/list/ListPage.tsx'
import { Name } from '../../ui/list/Name.tsx'
import { RowMenu } from '../../ui/list/RowMenu.tsx'
import { Sparkline } from '../../ui/Sparkline.tsx'
import { HealthStatus, healthTone } from '../../ui/Status.tsx'
import { useServiceActions } from './useServiceActions.ts'

const CreateService = later(async () => (await import('./CreateService.tsx')).CreateService)

const route = getRouteApi('/virtual-services')
const TREND_S = 300

export function ServiceList() {
  const { t } = useTranslation()
  const search = route.useSearch()
  const navigate = useNavigate()
  const readOnly = useReadOnly()
  const list = useServiceRows(search)
  const columns = useColumns()
  const { switchTo } = useServiceActions()
  const open = (serviceId: string) =>
    void navigate({ to: '/virtual-services/$serviceId', params: { serviceId }, search: (now) => now })
  const setSearch = (next: typeof search) => void navigate({ to: '/virtual-services', search: next, replace: true })

  const pills: Pill<ServiceRow>[] = [
    ...(['down', 'degraded', 'draining', 'unknown', 'up', 'off'] as const).map((health) => ({
      id: health,
      label: t(`health.${health}`),
      tone: healthTone(health),
      keeps: ({ facts }: ServiceRow) => facts.health === health,
    })),
    { id: 'unapplied', label: t('list.unapplied'), tone: 'degraded', keeps: ({ facts }) => facts.sync !== 'applied' },
  ]
  return (
    <>
      <ListPage
        title={t('services.title')}
        empty={{ title: t('services.empty'), help: t('services.emptyHelp') }}
        list={list}
        search={search}
        setSearch={setSearch}
        columns={columns}
        idOf={({ service }) => service.id}
        nameOf={({ service }) => service.name}
        textOf={({ service, addresses }) =>
          [
            service.name,
            service.description,
            ...addresses.map((a) => `${a}:${portsOf(service)}`),
            ...service.tags,
          ].join(' ')
        }
        toneOf={({ facts }) => healthTone(facts.health)}
        order={({ facts }) => severity(facts)}
        open={({ service }) => open(service.id)}
        pills={pills}
        create={{ label: t('services.create'), open: () => setSearch({ ...search, create: true }), reason: readOnly }}
        bulk={
          readOnly !== undefined
            ? undefined
            : (rows, done) => {
                const some = rows.map(({ service }) => service)
                return (
                  <>
                    <Button
                      size="compact-sm"
                      variant="default"
                      leftSection={<IconPlayerPlay size={14} />}
                      onClick={() => void switchTo(some, true).then(done)}
                    >
                      {t('detail.enable')}
                    </Button>
                    <Button
                      size="compact-sm"
                      variant="default"
                      leftSection={<IconPlayerStop size={14} />}
                      onClick={() => void switchTo(some, false).then(done)}
                    >
                      {t('detail.disable')}
                    </Button>
                  </>
                )
              }
        }
        actions={
          readOnly !== undefined
            ? undefined
            : ({ service }) => (
                <RowMenu name={service.name}>
                  <Menu.Item
                    leftSection={service.enabled ? <IconPlayerStop size={14} /> : <IconPlayerPlay size={14} />}
                    onClick={() => void switchTo([service], !service.enabled)}
                  >
                    {t(service.enabled ? 'detail.disable' : 'detail.enable')}
                  </Menu.Item>
                </RowMenu>
              )
        }
      />
      {search.create === true && readOnly === undefined && (
        <CreateService
          close={() => setSearch({ ...search, create: undefined })}
          done={(serviceId) => void navigate({ to: '/virtual-services/$serviceId', params: { serviceId } })}
        />
      )}
      <Outlet />
    </>
  )
}

/** Of an address that is not on the first page of them. */
function Address({ id }: { id: string }) {
  const { t } = useTranslation()
  return useOne(virtualIps, id).data?.address ?? t('common.none')
}

function useColumns(): Column<ServiceRow>[] {
  const { t } = useTranslation()
  const samples = useRecent(TREND_S)
  const now = samples.at(-1)
  // What does not change by the second need not be made anew by the second.
  const steady = useMemo(
    (): Column<ServiceRow>[] => [
      {
        id: 'health',
        title: t('list.status'),
        value: ({ facts }) => severity(facts),
        phone: 'status',
        cell: ({ facts }) => <HealthStatus facts={facts} />,
      },
      {
        id: 'name',
        title: t('field.name'),
        value: ({ service }) => service.name,
        sort: 'name',
        phone: 'title',
        cell: ({ service }) => (
          <Name resource={service} to="/virtual-services/$serviceId" params={{ serviceId: service.id }} />
        ),
      },
      {
        id: 'address',
        title: t('field.address'),
        value: ({ service, addresses }) => `${addresses.join(' ')}:${portsOf(service)}`,
        cell: ({ service, addresses }) => (
          <span className="mono">
            {addresses[0] ?? <Address id={service.virtual_ip_ids[0] ?? ''} />}
            <span className="dim">:{portsOf(service)}</span>
            {service.virtual_ip_ids.length > 1 && <span className="dim"> +{service.virtual_ip_ids.length - 1}</span>}
          </span>
        ),
      },
      {
        id: 'mode',
        title: t('services.mode'),
        value: ({ service }) => `${layerOf(service)} ${modeOf(service)}`,
        roomy: true,
        phone: 'hidden',
        cell: ({ service }) => (
          <span className="nowrap">
            <span className="tag">{layerOf(service)}</span> {modeOf(service)}
          </span>
        ),
      },
      {
        id: 'members',
        title: t('services.members'),
        cell: ({ service }) => <MemberBar poolId={service.default_pool_id} />,
      },
    ],
    [t],
  )
  return [
    ...steady,
    {
      id: 'connections',
      title: t('services.connections'),
      number: true,
      phone: 'hidden',
      value: ({ service }) => now?.services.get(service.id)?.connections ?? 0,
      cell: ({ service }) => count(now?.services.get(service.id)?.connections ?? 0),
    },
    {
      id: 'throughput',
      title: t('services.throughput'),
      number: true,
      phone: 'right',
      value: ({ service }) => bits(now?.services.get(service.id)),
      cell: ({ service }) => bitRate(bits(now?.services.get(service.id))),
    },
    {
      id: 'trend',
      title: t('services.trend'),
      roomy: true,
      phone: 'hidden',
      cell: ({ service }) => <Sparkline values={courseOf(samples, service.id)} />,
    },
  ]
}
