/** All virtual IPs, and what is offered on each. */
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Outlet, useNavigate } from '@tanstack/react-router'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import type { VirtualIp } from '../../api/client.ts'
import { servicesQuery, statusQuery } from '../../api/queries.ts'
import { virtualIps } from '../../api/resources.ts'
import { useReadOnly } from '../../app/usePermission.ts'
import { useList } from '../../api/useList.ts'
import { virtualIpFields } from '../../resources/fields.ts'
import { CreateModal } from '../../ui/form/modals.tsx'
import type { Column } from '../../ui/list/columns.ts'
import { ListPage } from '../../ui/list/ListPage.tsx'
import { Name } from '../../ui/list/Name.tsx'
import { Glyph } from '../../ui/Status.tsx'

const route = getRouteApi('/virtual-ips')

export function VirtualIpList() {
  const { t } = useTranslation()
  const search = route.useSearch()
  const navigate = useNavigate()
  const readOnly = useReadOnly()
  const list = useList(virtualIps, search)
  const columns = useColumns()
  const open = (virtualIpId: string) =>
    void navigate({ to: '/virtual-ips/$virtualIpId', params: { virtualIpId }, search: (now) => now })
  const setSearch = (next: typeof search) => void navigate({ to: '/virtual-ips', search: next, replace: true })
  return (
    <>
      <ListPage
        title={t('vips.title')}
        empty={{ title: t('vips.empty'), help: t('vips.emptyHelp') }}
        list={list}
        search={search}
        setSearch={setSearch}
        columns={columns}
        idOf={({ id }) => id}
        nameOf={({ name }) => name}
        textOf={({ name, address, description, tags }) => [name, address, description, ...tags].join(' ')}
        toneOf={({ enabled }) => (enabled ? 'unknown' : 'disabled')}
        open={({ id }) => open(id)}
        create={{ label: t('vips.create'), open: () => setSearch({ ...search, create: true }), reason: readOnly }}
      />
      {search.create === true && readOnly === undefined && (
        <CreateModal
          title={t('vips.create')}
          into={virtualIps}
          fields={virtualIpFields}
          initial={{ enabled: true }}
          close={() => setSearch({ ...search, create: undefined })}
          done={({ id }) => open(id)}
        />
      )}
      <Outlet />
    </>
  )
}

function useColumns(): Column<VirtualIp>[] {
  const { t } = useTranslation()
  const { data: services } = useQuery(servicesQuery)
  const { data: status } = useQuery(statusQuery)
  return useMemo(() => {
    const offered = ({ id }: VirtualIp) => services?.filter(({ virtual_ip_ids }) => virtual_ip_ids.includes(id)) ?? []
    const offLink = ({ address }: VirtualIp) => status?.off_link.includes(address) ?? false
    return [
      {
        id: 'address',
        title: t('field.address'),
        value: ({ address }) => address,
        phone: 'title',
        cell: ({ address }) => <b className="mono">{address}</b>,
      },
      {
        id: 'name',
        title: t('field.name'),
        value: ({ name }) => name,
        sort: 'name',
        cell: (virtualIp) => (
          <Name resource={virtualIp} to="/virtual-ips/$virtualIpId" params={{ virtualIpId: virtualIp.id }} />
        ),
      },
      {
        id: 'state',
        title: t('list.status'),
        phone: 'status',
        value: (virtualIp) => (offLink(virtualIp) ? 0 : virtualIp.enabled ? 2 : 1),
        cell: (virtualIp) =>
          offLink(virtualIp) ? (
            <span className="status tone-degraded" title={t('attention.offLinkHelp')}>
              <Glyph tone="degraded" /> {t('vips.offLink')}
            </span>
          ) : virtualIp.enabled ? (
            <span className="status quiet">{t('vips.held')}</span>
          ) : (
            <span className="status tone-disabled">
              <Glyph tone="disabled" /> {t('admin.disabled')}
            </span>
          ),
      },
      {
        id: 'services',
        title: t('services.title'),
        phone: 'right',
        value: (virtualIp) => offered(virtualIp).length,
        cell: (virtualIp) => {
          const all = offered(virtualIp)
          if (all.length === 0) return <span className="dim">{t('common.none')}</span>
          return (
            <span className="named">
              <bdi className="cut" title={all.map(({ name }) => name).join(', ')}>
                {all[0]?.name}
              </bdi>
              <span className="dim mono">:{all[0]?.port}</span>
              {all.length > 1 && <span className="dim">+{all.length - 1}</span>}
            </span>
          )
        },
      },
    ]
  }, [t, services, status?.off_link])
}
