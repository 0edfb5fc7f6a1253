/** Certificates: the one that ends first comes first. */
import { useQuery } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import type { Certificate } from '../../api/client.ts'
import { servicesQuery } from '../../api/queries.ts'
import { certificates } from '../../api/resources.ts'
import { useList } from '../../api/useList.ts'
import { useReadOnly } from '../../app/usePermission.ts'
import { certificateFields } from '../../resources/certificates.ts'
import { daysLeft, useExpiry } from '../../status/expiry.ts'
import { date } from '../../ui/format.ts'
import { Names, PlainName } from '../../ui/list/cells.tsx'
import type { Column } from '../../ui/list/columns.ts'
import { ResourcePage } from '../../ui/list/ResourcePage.tsx'
import { Glyph } from '../../ui/Status.tsx'

const route = getRouteApi('/certificates')
const WORDS = {
  title: 'nav.certificates',
  create: 'certificates.create',
  edit: 'certificates.edit',
  empty: 'certificates.empty',
  emptyHelp: 'certificates.emptyHelp',
} as const

export function CertificateList() {
  const { t } = useTranslation()
  const expiry = useExpiry()
  return (
    <ResourcePage
      place="/certificates"
      of={certificates}
      list={useList(certificates, route.useSearch())}
      words={WORDS}
      columns={useColumns()}
      textOf={({ names, issuer }) => [...names, issuer].join(' ')}
      toneOf={(certificate) => expiry(certificate).tone}
      order={daysLeft}
      pills={[
        {
          id: 'ending',
          label: t('certificates.ending'),
          tone: 'degraded',
          keeps: (certificate) => expiry(certificate).tone !== 'up',
        },
      ]}
      fields={certificateFields(true)}
      editFields={certificateFields(false)}
      initial={{ enabled: true }}
      readOnly={useReadOnly()}
      removal={() => t('certificates.removeText')}
    />
  )
}

function useColumns(): Column<Certificate>[] {
  const { t, i18n } = useTranslation()
  const expiry = useExpiry()
  const { data: services } = useQuery(servicesQuery)
  return useMemo(() => {
    const users = ({ id }: Certificate) => services?.filter(({ tls }) => tls?.certificate_ids.includes(id)) ?? []
    return [
      {
        id: 'expiry',
        title: t('list.status'),
        phone: 'status',
        value: daysLeft,
        cell: (certificate) => {
          const { tone, text } = expiry(certificate)
          return (
            <span className={tone === 'up' ? 'status quiet' : `status tone-${tone}`}>
              {tone !== 'up' && <Glyph tone={tone} />}
              <span>{text}</span>
            </span>
          )
        },
      },
      {
        id: 'name',
        title: t('field.name'),
        phone: 'title',
        value: ({ name }) => name,
        sort: 'name',
        cell: (certificate) => <PlainName resource={certificate} />,
      },
      {
        id: 'names',
        title: t('certificates.names'),
        value: ({ names }) => names.join(' '),
        cell: ({ names }) => <Names names={names} />,
      },
      {
        id: 'until',
        title: t('certificates.until'),
        phone: 'right',
        value: ({ not_after }) => not_after ?? '',
        cell: ({ not_after }) => (
          <span className="nowrap">{not_after === null ? t('common.none') : date(not_after, i18n.language)}</span>
        ),
      },
      {
        id: 'issuer',
        title: t('certificates.issuer'),
        phone: 'hidden',
        roomy: true,
        value: ({ issuer }) => issuer,
        cell: ({ issuer }) => (
          <bdi className="named cut dim" title={issuer}>
            {issuer}
          </bdi>
        ),
      },
      {
        id: 'users',
        title: t('pools.users'),
        value: (certificate) => users(certificate).length,
        cell: (certificate) => <Names names={users(certificate).map(({ name }) => name)} />,
      },
    ]
  }, [t, i18n.language, services, expiry])
}
