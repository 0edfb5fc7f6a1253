/** All virtual IPs, and what is offered on each. */
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import type { VirtualIp } from '../../api/client.ts'
import { servicesQuery, statusQuery } from '../../api/queries.ts'
import { virtualIps } from '../../api/resources.ts'
import { useReadOnly } from '../../app/usePermission.ts'
import { useList } from '../../api/useList.ts'
import { virtualIpFields } from '../../resources/services.ts'
import { portsOf } from '../../services/modes.ts'
import { EnabledState, Names } from '../../ui/list/cells.tsx'
import type { Column } from '../../ui/list/columns.ts'
import { Name } from '../../ui/list/Name.tsx'
import { ResourcePage } from '../../ui/list/ResourcePage.tsx'
import { Glyph } from '../../ui/Status.tsx'

const route = getRouteApi('/virtual-ips')

const WORDS = {
  title: 'vips.title',
  create: 'vips.create',
  edit: 'vips.edit',
  empty: 'vips.empty',
  emptyHelp: 'vips.emptyHelp',
} as const

export function VirtualIpList() {
  const navigate = useNavigate()
  return (
    <ResourcePage
      place="/virtual-ips"
      of={virtualIps}
      list={useList(virtualIps, route.useSearch())}
      words={WORDS}
      columns={useColumns()}
      textOf={({ address }) => address}
      toneOf={({ enabled }) => (enabled ? 'unknown' : 'disabled')}
      fields={virtualIpFields}
      initial={{ enabled: true }}
      readOnly={useReadOnly()}
      open={(virtualIpId) =>
        void navigate({
          to: '/virtual-ips/$virtualIpId',
          params: { virtualIpId },
          search: ({ q, show, sort }) => ({ q, show, sort }),
        })
      }
    />
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
          ) : (
            <EnabledState enabled={virtualIp.enabled} on={t('vips.held')} />
          ),
      },
      {
        id: 'services',
        title: t('services.title'),
        phone: 'right',
        value: (virtualIp) => offered(virtualIp).length,
        cell: (virtualIp) => {
          const all = offered(virtualIp)
          return <Names names={all.map(({ name }) => name)} after={all[0] && `:${portsOf(all[0])}`} />
        },
      },
    ]
  }, [t, services, status?.off_link])
}
