/** All pools: those in trouble first. */
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Outlet, useNavigate } from '@tanstack/react-router'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import type { Pool } from '../../api/client.ts'
import { servicesQuery } from '../../api/queries.ts'
import { pools } from '../../api/resources.ts'
import { useReadOnly } from '../../app/usePermission.ts'
import { useList } from '../../api/useList.ts'
import { MemberBar } from '../../members/MemberBar.tsx'
import { usePoolFields } from '../../resources/fields.ts'
import { needsAttention, poolFacts, severity } from '../../status/facts.ts'
import { CreateModal } from '../../ui/form/modals.tsx'
import type { Column } from '../../ui/list/columns.ts'
import { ListPage } from '../../ui/list/ListPage.tsx'
import { Name } from '../../ui/list/Name.tsx'
import { HealthStatus, healthTone } from '../../ui/Status.tsx'

const route = getRouteApi('/pools')

export function PoolList() {
  const { t } = useTranslation()
  const search = route.useSearch()
  const navigate = useNavigate()
  const readOnly = useReadOnly()
  const list = useList(pools, search)
  const columns = useColumns()
  const fields = usePoolFields()
  const open = (poolId: string) => void navigate({ to: '/pools/$poolId', params: { poolId }, search: (now) => now })
  const setSearch = (next: typeof search) => void navigate({ to: '/pools', search: next, replace: true })
  return (
    <>
      <ListPage
        title={t('pools.title')}
        empty={{ title: t('pools.empty'), help: t('pools.emptyHelp') }}
        list={list}
        search={search}
        setSearch={setSearch}
        columns={columns}
        idOf={({ id }) => id}
        nameOf={({ name }) => name}
        textOf={({ name, description, tags }) => [name, description, ...tags].join(' ')}
        toneOf={(pool) => healthTone(poolFacts(pool).health)}
        order={(pool) => severity(poolFacts(pool))}
        open={({ id }) => open(id)}
        pills={[
          {
            id: 'attention',
            label: t('list.attention'),
            tone: 'down',
            keeps: (pool) => needsAttention(poolFacts(pool)),
          },
        ]}
        create={{ label: t('pools.create'), open: () => setSearch({ ...search, create: true }), reason: readOnly }}
      />
      {search.create === true && readOnly === undefined && (
        <CreateModal
          title={t('pools.create')}
          into={pools}
          fields={fields}
          initial={{ enabled: true, algorithm: 'round_robin' }}
          close={() => setSearch({ ...search, create: undefined })}
          done={({ id }) => void navigate({ to: '/pools/$poolId', params: { poolId: id } })}
        />
      )}
      <Outlet />
    </>
  )
}

function useColumns(): Column<Pool>[] {
  const { t } = useTranslation()
  const { data: services } = useQuery(servicesQuery)
  return useMemo(() => {
    const users = (pool: Pool) => services?.filter(({ default_pool_id }) => default_pool_id === pool.id) ?? []
    return [
      {
        id: 'health',
        title: t('list.status'),
        value: (pool) => severity(poolFacts(pool)),
        phone: 'status',
        cell: (pool) => <HealthStatus facts={poolFacts(pool)} />,
      },
      {
        id: 'name',
        title: t('field.name'),
        value: ({ name }) => name,
        sort: 'name',
        phone: 'title',
        cell: (pool) => <Name resource={pool} to="/pools/$poolId" params={{ poolId: pool.id }} />,
      },
      {
        id: 'algorithm',
        title: t('field.algorithm'),
        value: ({ algorithm }) => algorithm,
        cell: ({ algorithm }) => t(`algorithm.${algorithm}`),
      },
      { id: 'members', title: t('services.members'), cell: ({ id }) => <MemberBar poolId={id} /> },
      {
        id: 'users',
        title: t('pools.users'),
        phone: 'right',
        value: (pool) => users(pool).length,
        cell: (pool) => {
          const names = users(pool).map(({ name }) => name)
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
  }, [t, services])
}
