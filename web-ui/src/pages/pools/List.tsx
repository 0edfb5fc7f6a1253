/** All pools: those in trouble first. */
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import type { Pool } from '../../api/client.ts'
import { servicesQuery } from '../../api/queries.ts'
import { pools } from '../../api/resources.ts'
import { useReadOnly } from '../../app/usePermission.ts'
import { useList } from '../../api/useList.ts'
import { MemberBar } from '../../members/MemberBar.tsx'
import { usePoolFields } from '../../resources/pools.ts'
import { needsAttention, poolFacts, severity } from '../../status/facts.ts'
import { Names } from '../../ui/list/cells.tsx'
import type { Column } from '../../ui/list/columns.ts'
import { Name } from '../../ui/list/Name.tsx'
import { ResourcePage } from '../../ui/list/ResourcePage.tsx'
import { HealthStatus, healthTone } from '../../ui/Status.tsx'

const route = getRouteApi('/pools')

const WORDS = {
  title: 'pools.title',
  create: 'pools.create',
  edit: 'pools.edit',
  empty: 'pools.empty',
  emptyHelp: 'pools.emptyHelp',
} as const

export function PoolList() {
  const { t } = useTranslation()
  const navigate = useNavigate()
  return (
    <ResourcePage
      place="/pools"
      of={pools}
      list={useList(pools, route.useSearch())}
      words={WORDS}
      columns={useColumns()}
      toneOf={(pool) => healthTone(poolFacts(pool).health)}
      order={(pool) => severity(poolFacts(pool))}
      pills={[
        { id: 'attention', label: t('list.attention'), tone: 'down', keeps: (pool) => needsAttention(poolFacts(pool)) },
      ]}
      fields={usePoolFields()}
      initial={{ enabled: true, algorithm: 'round_robin' }}
      readOnly={useReadOnly()}
      open={(poolId) =>
        void navigate({ to: '/pools/$poolId', params: { poolId }, search: ({ q, show, sort }) => ({ q, show, sort }) })
      }
    />
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
        cell: (pool) => <Names names={users(pool).map(({ name }) => name)} />,
      },
    ]
  }, [t, services])
}
