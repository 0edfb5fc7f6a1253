/** Rules of layer 7: which requests, and what becomes of them; service by service, in the order in which they are asked. */
import { useQuery } from '@tanstack/react-query'
import { Button } from '@mantine/core'
import { IconRoute } from '@tabler/icons-react'
import { getRouteApi, Link } from '@tanstack/react-router'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import type { Schemas } from '../../api/client.ts'
import { poolsQuery, servicesQuery } from '../../api/queries.ts'
import { decisionOf, policies } from '../../api/resources.ts'
import { useList } from '../../api/useList.ts'
import { useReadOnly } from '../../app/usePermission.ts'
import { usePolicyFields } from '../../resources/policies.ts'
import { isolated } from '../../ui/bidi.ts'
import { EnabledState, PlainName } from '../../ui/list/cells.tsx'
import { type Column, compare } from '../../ui/list/columns.ts'
import { ResourcePage } from '../../ui/list/ResourcePage.tsx'
import { asked } from './asked.ts'

type Policy = Schemas['PolicyView']

const route = getRouteApi('/policies')
const WORDS = {
  title: 'nav.policies',
  create: 'policies.create',
  edit: 'policies.edit',
  empty: 'policies.empty',
  emptyHelp: 'policies.emptyHelp',
} as const

export function PolicyList() {
  const { t } = useTranslation()
  const { data: services } = useQuery(servicesQuery)
  const list = useList(policies, route.useSearch())
  const rows = useMemo(() => {
    const nameOf = ({ virtual_service_id: id }: Policy) => services?.find((one) => one.id === id)?.name ?? ''
    return list.rows && [...list.rows].sort((a, b) => compare(nameOf(a), nameOf(b)) || a.position - b.position)
  }, [list.rows, services])
  return (
    <ResourcePage
      place="/policies"
      of={policies}
      list={{ ...list, rows }}
      words={WORDS}
      columns={useColumns()}
      fields={usePolicyFields()}
      initial={{ enabled: true, position: 100, decision: 'pools' }}
      readOnly={useReadOnly()}
      removal={() => t('policies.removeText')}
      aside={
        <Button component={Link} to="/policies/test" variant="default" leftSection={<IconRoute size={16} />}>
          {t('tester.title')}
        </Button>
      }
    />
  )
}

function useColumns(): Column<Policy>[] {
  const { t } = useTranslation()
  const { data: services } = useQuery(servicesQuery)
  const { data: pools } = useQuery(poolsQuery)
  return useMemo(() => {
    const serviceOf = ({ virtual_service_id: id }: Policy) => services?.find((one) => one.id === id)?.name ?? ''
    const target = (policy: Policy): string => {
      const { pools: some, redirect, respond, reject } = policy
      const called = (id: string) => isolated(pools?.find((one) => one.id === id)?.name ?? id)
      if (some.length > 0)
        return some
          .map(({ pool_id, weight }) => (some.length > 1 ? `${called(pool_id)} ×${weight}` : called(pool_id)))
          .join(', ')
      if (redirect)
        return [redirect.scheme && `${redirect.scheme}://`, redirect.host, redirect.path].filter(Boolean).join('')
      return String(respond?.code ?? reject?.code ?? '')
    }
    return [
      {
        id: 'service',
        title: t('detail.service'),
        value: serviceOf,
        cell: (policy) => <bdi className="named cut">{serviceOf(policy)}</bdi>,
      },
      {
        id: 'position',
        title: t('field.position'),
        number: true,
        phone: 'hidden',
        value: ({ position }) => position,
        cell: ({ position }) => position,
      },
      {
        id: 'name',
        title: t('field.name'),
        phone: 'title',
        value: ({ name }) => name,
        sort: 'name',
        cell: (policy) => <PlainName resource={policy} />,
      },
      {
        id: 'rules',
        title: t('field.rules'),
        value: ({ rules }) => rules.map(asked).join(' & '),
        cell: ({ rules }) => (
          <bdi className="mono named cut" title={rules.map(asked).join('\n')}>
            {rules.length === 0 ? t('policies.every') : rules.map((rule) => isolated(asked(rule))).join(' & ')}
          </bdi>
        ),
      },
      {
        id: 'decision',
        title: t('field.decision'),
        phone: 'right',
        value: (policy) => `${decisionOf(policy)} ${target(policy)}`,
        cell: (policy) => (
          <span className="named">
            <span className="tag">{t(`decision.${decisionOf(policy)}`)}</span>{' '}
            <bdi className="cut">{target(policy)}</bdi>
          </span>
        ),
      },
      {
        id: 'state',
        title: t('list.status'),
        phone: 'status',
        value: ({ enabled }) => Number(enabled),
        cell: ({ enabled }) => <EnabledState enabled={enabled} />,
      },
    ]
  }, [t, services, pools])
}
