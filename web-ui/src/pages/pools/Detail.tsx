/** One pool beside the list: who uses it, and its members. */
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useReadOnly } from '../../app/usePermission.ts'
import { isProblem } from '../../api/problem.ts'
import { membersQuery, oneOf, servicesQuery } from '../../api/queries.ts'
import { pools } from '../../api/resources.ts'
import { MemberTable } from '../../members/MemberTable.tsx'
import { usePoolFields } from '../../resources/pools.ts'
import { poolFacts } from '../../status/facts.ts'
import { About } from '../../ui/About.tsx'
import { DetailDrawer, Pairs } from '../../ui/DetailDrawer.tsx'
import { EditModal } from '../../ui/form/modals.tsx'
import { RemoveModal } from '../../ui/RemoveModal.tsx'

const route = getRouteApi('/pools/$poolId')

export function PoolDetail() {
  const { t } = useTranslation()
  const { poolId } = route.useParams()
  const navigate = useNavigate()
  const readOnly = useReadOnly()
  const { data: pool, error } = useQuery(oneOf(pools, poolId))
  const { data: members } = useQuery(membersQuery(poolId))
  const { data: services } = useQuery(servicesQuery)
  const users = services?.filter(({ default_pool_id }) => default_pool_id === poolId) ?? []
  const [doing, setDoing] = useState<'edit' | 'remove' | null>(null)
  const fields = usePoolFields()
  const close = () => void navigate({ to: '/pools', search: (now) => now })
  const facts = pool && poolFacts(pool)
  return (
    <DetailDrawer
      name={pool?.name}
      facts={facts}
      close={close}
      edit={readOnly === undefined ? () => setDoing('edit') : undefined}
      remove={readOnly === undefined ? () => setDoing('remove') : undefined}
      gone={isProblem(error, 'not_found')}
    >
      {pool !== undefined && facts !== undefined && (
        <>
          <Pairs
            pairs={[
              [t('field.algorithm'), t(`algorithm.${pool.algorithm}`)],
              [t('field.protocol'), pool.protocol.toUpperCase()],
              [
                t('pools.users'),
                users.length === 0
                  ? t('common.none')
                  : users.map(({ id, name }) => (
                      <Link key={id} className="comma" to="/virtual-services/$serviceId" params={{ serviceId: id }}>
                        <bdi>{name}</bdi>
                      </Link>
                    )),
              ],
            ]}
          />
          <About resource={pool} facts={facts} />
          {members !== undefined && <MemberTable poolId={poolId} members={members} />}
        </>
      )}
      {doing === 'edit' && pool !== undefined && (
        <EditModal
          title={t('pools.edit', { name: pool.name })}
          of={pools}
          id={poolId}
          fields={fields}
          close={() => setDoing(null)}
        />
      )}
      {doing === 'remove' && pool !== undefined && (
        <RemoveModal from={pools} resource={pool} close={() => setDoing(null)} done={close}>
          {t('remove.pool', { count: members?.length ?? 0 })}
        </RemoveModal>
      )}
    </DetailDrawer>
  )
}
