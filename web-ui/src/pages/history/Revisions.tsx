/** Every accepted change of the configuration, newest first. */
import { getRouteApi, Link, Outlet, useNavigate } from '@tanstack/react-router'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import type { Schemas } from '../../api/client.ts'
import { useLog } from '../../api/useLog.ts'
import { dateTimeExact } from '../../ui/format.ts'
import type { Column } from '../../ui/list/columns.ts'
import { ListPage } from '../../ui/list/ListPage.tsx'

type Entry = Schemas['RevisionEntry']

const route = getRouteApi('/revisions')

export function Revisions() {
  const { t, i18n } = useTranslation()
  const search = route.useSearch()
  const navigate = useNavigate()
  const list = useLog('/api/v1/revisions')
  const columns = useMemo(
    (): Column<Entry>[] => [
      {
        id: 'generation',
        title: t('history.version'),
        phone: 'title',
        value: ({ generation }) => generation,
        cell: ({ generation, confirm_by }) => (
          <span className="named">
            <Link className="name-link" to="/revisions/$generation" params={{ generation: String(generation) }}>
              {generation}
            </Link>
            {confirm_by !== null && <span className="mark tone-degraded">{t('history.unconfirmed')}</span>}
          </span>
        ),
      },
      {
        id: 'at',
        title: t('history.at'),
        value: ({ at }) => at,
        cell: ({ at }) => <span className="nowrap">{dateTimeExact(at, i18n.language)}</span>,
      },
      {
        id: 'author',
        title: t('history.author'),
        phone: 'status',
        value: ({ author }) => author,
        cell: ({ author }) => <bdi>{author}</bdi>,
      },
      {
        id: 'size',
        title: t('history.size'),
        number: true,
        phone: 'right',
        value: ({ size }) => size,
        cell: ({ size }) => size,
      },
      {
        id: 'comment',
        title: t('history.comment'),
        value: ({ comment }) => comment,
        cell: ({ comment }) =>
          comment === '' ? <span className="dim">{t('common.none')}</span> : <bdi className="wrap">{comment}</bdi>,
      },
    ],
    [t, i18n.language],
  )
  return (
    <>
      <ListPage
        title={t('nav.revisions')}
        empty={{ title: t('history.noRevisions'), help: t('history.noRevisionsHelp') }}
        list={list}
        search={search}
        setSearch={(next) => void navigate({ to: '/revisions', search: next, replace: true })}
        columns={columns}
        idOf={({ generation }) => String(generation)}
        nameOf={({ generation }) => String(generation)}
        textOf={({ generation, author, comment }) => `${generation} ${author} ${comment}`}
        order={({ generation }) => -generation}
        open={({ generation }) =>
          void navigate({
            to: '/revisions/$generation',
            params: { generation: String(generation) },
            search: (now) => now,
          })
        }
      />
      <Outlet />
    </>
  )
}
