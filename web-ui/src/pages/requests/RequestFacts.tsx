/** What is known of one request. */
import { useQuery } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import type { Schemas } from '../../api/client.ts'
import { membersQuery } from '../../api/queries.ts'
import { policies, pools, services } from '../../api/resources.ts'
import { useOne } from '../../api/useOne.ts'
import { said, type TextKey } from '../../i18n/index.ts'
import { Pairs } from '../../ui/DetailDrawer.tsx'
import { count } from '../../ui/format.ts'
import { endText } from '../connections/ends.ts'

export function RequestFacts({ of }: { of: Schemas['Request'] }) {
  const { t } = useTranslation()
  const { data: service } = useOne(services, of.virtual_service_id)
  const { data: policy } = useOne(policies, of.policy_id ?? '')
  const { data: pool } = useOne(pools, of.pool_id ?? '')
  const { data: members } = useQuery({ ...membersQuery(of.pool_id ?? ''), enabled: of.pool_id !== null })
  const member = members?.find(({ id }) => id === of.member_id)
  const none = <span className="dim">{t('common.none')}</span>
  const pairs: [string, React.ReactNode][] = [
    [
      t('requests.request'),
      <bdi key="request" className="mono">
        {of.method === null ? t('requests.noHead') : `${of.method} ${of.host ?? ''}${of.path ?? ''}`}
      </bdi>,
    ],
    [t('requests.version'), of.version],
    [
      t('connections.client'),
      <span key="client" className="mono">
        {endText(of.client)}
      </span>,
    ],
    [
      t('detail.service'),
      <Link key="service" to="/virtual-services/$serviceId" params={{ serviceId: of.virtual_service_id }}>
        <bdi>{service?.name ?? of.virtual_service_id}</bdi>
      </Link>,
    ],
    [t('requests.policy'), of.policy_id === null ? none : <bdi key="policy">{policy?.name ?? of.policy_id}</bdi>],
    [
      t('detail.pool'),
      of.pool_id === null ? (
        none
      ) : (
        <Link key="pool" to="/pools/$poolId" params={{ poolId: of.pool_id }}>
          <bdi>{pool?.name ?? of.pool_id}</bdi>
        </Link>
      ),
    ],
    [
      t('detail.member'),
      of.member_id === null ? (
        none
      ) : (
        <span key="member" className="mono">
          {member === undefined ? of.member_id : endText(member)}
        </span>
      ),
    ],
    [t('requests.tries'), of.tries],
    [t('requests.status'), of.status ?? none],
    [t('requests.bytes'), `${count(of.bytes_in)} · ${count(of.bytes_out)}`],
    [t('requests.ending'), of.ending === null ? t('requests.well') : t(`ending.${of.ending}` as TextKey)],
  ]
  return (
    <>
      <Pairs pairs={pairs} />
      {of.reason !== null && <p className="note down">{said(of.reason)}</p>}
    </>
  )
}
