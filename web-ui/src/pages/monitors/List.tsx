/** How members are watched. */
import { Menu } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { IconPencil, IconTrash } from '@tabler/icons-react'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Monitor } from '../../api/client.ts'
import { poolsQuery } from '../../api/queries.ts'
import { monitors } from '../../api/resources.ts'
import { useList } from '../../api/useList.ts'
import { useReadOnly } from '../../app/usePermission.ts'
import { monitorFields } from '../../resources/fields.ts'
import { CreateModal, EditModal } from '../../ui/form/modals.tsx'
import type { Column } from '../../ui/list/columns.ts'
import { ListPage } from '../../ui/list/ListPage.tsx'
import { RowMenu } from '../../ui/list/RowMenu.tsx'
import { RemoveModal } from '../../ui/RemoveModal.tsx'
import { SyncMark } from '../../ui/Status.tsx'

const route = getRouteApi('/monitors')
const INITIAL = {
  enabled: true,
  kind: 'http',
  interval_ms: 5000,
  rise: 2,
  fall: 3,
  'settings.path': '/',
  'settings.codes': ['200-399'],
}

export function MonitorList() {
  const { t } = useTranslation()
  const search = route.useSearch()
  const navigate = useNavigate()
  const readOnly = useReadOnly()
  const list = useList(monitors, search)
  const columns = useColumns()
  const [doing, setDoing] = useState<{ what: 'edit' | 'remove'; monitor: Monitor } | null>(null)
  const setSearch = (next: typeof search) => void navigate({ to: '/monitors', search: next, replace: true })
  const stop = () => setDoing(null)
  const actions = (monitor: Monitor) => (
    <RowMenu name={monitor.name}>
      <Menu.Item leftSection={<IconPencil size={14} />} onClick={() => setDoing({ what: 'edit', monitor })}>
        {t('detail.edit')}
      </Menu.Item>
      <Menu.Item
        className="danger"
        leftSection={<IconTrash size={14} />}
        onClick={() => setDoing({ what: 'remove', monitor })}
      >
        {t('detail.remove')}
      </Menu.Item>
    </RowMenu>
  )
  return (
    <>
      <ListPage
        title={t('nav.monitors')}
        empty={{ title: t('monitors.empty'), help: t('monitors.emptyHelp') }}
        list={list}
        search={search}
        setSearch={setSearch}
        columns={columns}
        idOf={({ id }) => id}
        nameOf={({ name }) => name}
        textOf={({ name, kind, description, tags }) => [name, kind, description, ...tags].join(' ')}
        open={readOnly === undefined ? (monitor) => setDoing({ what: 'edit', monitor }) : undefined}
        create={{
          label: t('monitors.create'),
          open: () => setSearch({ ...search, create: true }),
          reason: readOnly,
        }}
        actions={readOnly === undefined ? actions : undefined}
      />
      {search.create === true && readOnly === undefined && (
        <CreateModal
          title={t('monitors.create')}
          into={monitors}
          fields={monitorFields}
          initial={INITIAL}
          close={() => setSearch({ ...search, create: undefined })}
        />
      )}
      {doing?.what === 'edit' && (
        <EditModal
          title={t('monitors.edit', { name: doing.monitor.name })}
          of={monitors}
          id={doing.monitor.id}
          fields={monitorFields}
          close={stop}
        />
      )}
      {doing?.what === 'remove' && (
        <RemoveModal from={monitors} resource={doing.monitor} close={stop} done={stop}>
          {t('monitors.removeText')}
        </RemoveModal>
      )}
    </>
  )
}

/** What a check asks for, in one line. */
function asked({ kind, settings }: Monitor): string | null {
  if ((kind === 'http' || kind === 'https') && 'codes' in settings && settings.codes)
    return `${settings.method} ${settings.path} → ${settings.codes.join(', ')}`
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
        cell: (monitor) => (
          <span className="named">
            <b className="cut">
              <bdi>{monitor.name}</bdi>
            </b>
            <SyncMark resource={monitor} />
          </span>
        ),
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
        cell: (monitor) => {
          const names = users(monitor).map(({ name }) => name)
          if (names.length === 0) return <span className="dim">{t('common.none')}</span>
          return (
            <span className="named">
              <bdi className="cut" title={names.join(', ')}>
                {names[0]}
              </bdi>
              {names.length > 1 && <span className="dim">+{names.length - 1}</span>}
            </span>
          )
        },
      },
    ]
  }, [t, pools])
}
