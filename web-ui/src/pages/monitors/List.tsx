/** How members are watched. */
import { useQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import type { Monitor } from '../../api/client.ts'
import { poolsQuery } from '../../api/queries.ts'
import { monitors } from '../../api/resources.ts'
import { useList } from '../../api/useList.ts'
import { useReadOnly } from '../../app/usePermission.ts'
import { useMonitorFields } from '../../resources/monitors.ts'
import { Names, PlainName } from '../../ui/list/cells.tsx'
import type { Column } from '../../ui/list/columns.ts'
import { ResourcePage } from '../../ui/list/ResourcePage.tsx'

const route = getRouteApi('/monitors')
const INITIAL = {
  enabled: true,
  kind: 'http',
  interval_ms: 5000,
  rise: 2,
  fall: 3,
  'settings.path': '/',
  'settings.codes': ['200-399'],
  'settings.role': 'any',
}

const WORDS = {
  title: 'nav.monitors',
  create: 'monitors.create',
  edit: 'monitors.edit',
  empty: 'monitors.empty',
  emptyHelp: 'monitors.emptyHelp',
} as const

export function MonitorList() {
  const { t } = useTranslation()
  return (
    <ResourcePage
      place="/monitors"
      of={monitors}
      list={useList(monitors, route.useSearch())}
      words={WORDS}
      columns={useColumns()}
      textOf={({ kind }) => kind}
      fields={useMonitorFields()}
      initial={INITIAL}
      readOnly={useReadOnly()}
      removal={() => t('monitors.removeText')}
    />
  )
}

/** What a check asks for, in one line. */
function asked({ kind, settings }: Monitor): string | null {
  if ((kind === 'http' || kind === 'https') && 'codes' in settings && settings.codes)
    return `${settings.method} ${settings.path} → ${settings.codes.join(', ')}`
  if (kind === 'grpc' && 'service' in settings && settings.service) return settings.service
  if ('role' in settings && settings.role && settings.role !== 'any') return settings.role
  if ('days_left' in settings && settings.days_left) return `≥ ${settings.days_left} d`
  return 'expect' in settings && settings.expect ? `→ ${settings.expect}` : null
}

function useColumns(): Column<Monitor>[] {
  const { t } = useTranslation()
  const { data: pools } = useQuery(poolsQuery)
  return useMemo(() => {
    const users = ({ id }: Monitor) => pools?.filter(({ monitor_ids }) => monitor_ids.includes(id)) ?? []
    return [
      {
        id: 'name',
        title: t('field.name'),
        phone: 'title',
        value: ({ name }) => name,
        sort: 'name',
        cell: (monitor) => <PlainName resource={monitor} />,
      },
      {
        id: 'kind',
        title: t('field.kind'),
        phone: 'status',
        value: ({ kind }) => kind,
        cell: ({ kind }) => <span className="tag">{kind.toUpperCase()}</span>,
      },
      {
        id: 'what',
        title: t('monitors.what'),
        cell: (monitor) => <bdi className="mono named cut">{asked(monitor) ?? t('monitors.connects')}</bdi>,
      },
      {
        id: 'interval',
        title: t('field.interval'),
        number: true,
        phone: 'right',
        value: ({ interval_ms }) => interval_ms,
        cell: ({ interval_ms }) => `${interval_ms / 1000} s`,
      },
      {
        id: 'riseFall',
        title: t('monitors.riseFall'),
        number: true,
        phone: 'hidden',
        cell: ({ rise, fall }) => `${rise} / ${fall}`,
      },
      {
        id: 'users',
        title: t('pools.users'),
        value: (monitor) => users(monitor).length,
        cell: (monitor) => <Names names={users(monitor).map(({ name }) => name)} />,
      },
    ]
  }, [t, pools])
}
