/** One virtual IP beside the list. */
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useReadOnly } from '../../app/usePermission.ts'
import { isProblem } from '../../api/problem.ts'
import { oneOf, servicesQuery, statusQuery } from '../../api/queries.ts'
import { virtualIps } from '../../api/resources.ts'
import { virtualIpFields } from '../../resources/services.ts'
import { portsOf } from '../../services/modes.ts'
import { otherFacts, serviceFacts } from '../../status/facts.ts'
import { About } from '../../ui/About.tsx'
import { DetailDrawer, Pairs } from '../../ui/DetailDrawer.tsx'
import { Empty } from '../../ui/Empty.tsx'
import { EditModal } from '../../ui/form/modals.tsx'
import { RemoveModal } from '../../ui/RemoveModal.tsx'
import { Glyph, HealthStatus } from '../../ui/Status.tsx'

const route = getRouteApi('/virtual-ips/$virtualIpId')

export function VirtualIpDetail() {
  const { t } = useTranslation()
  const { virtualIpId } = route.useParams()
  const navigate = useNavigate()
  const readOnly = useReadOnly()
  const { data: virtualIp, error } = useQuery(oneOf(virtualIps, virtualIpId))
  const { data: services } = useQuery(servicesQuery)
  const { data: status } = useQuery(statusQuery)
  const offered = services?.filter(({ virtual_ip_ids }) => virtual_ip_ids.includes(virtualIpId)) ?? []
  const [doing, setDoing] = useState<'edit' | 'remove' | null>(null)
  const close = () => void navigate({ to: '/virtual-ips', search: (now) => now })
  return (
    <DetailDrawer
      name={virtualIp?.name}
      close={close}
      edit={readOnly === undefined ? () => setDoing('edit') : undefined}
      remove={readOnly === undefined ? () => setDoing('remove') : undefined}
      gone={isProblem(error, 'not_found')}
    >
      {virtualIp !== undefined && (
        <>
          <Pairs
            pairs={[
              [
                t('field.address'),
                <b key="address" className="mono">
                  {virtualIp.address}
                </b>,
              ],
              [t('list.status'), virtualIp.enabled ? t('vips.held') : t('admin.disabled')],
            ]}
          />
          {status?.off_link.includes(virtualIp.address) && (
            <p className="note degraded">
              <Glyph tone="degraded" /> {t('attention.offLink', { address: virtualIp.address })}.{' '}
              {t('attention.offLinkHelp')}
            </p>
          )}
          <About resource={virtualIp} facts={otherFacts(virtualIp)} />
          <section aria-label={t('services.title')} className="card flush">
            <div className="filters">
              <h3>
                {t('services.title')} <span className="dim">{offered.length}</span>
              </h3>
            </div>
            {offered.length === 0 && <Empty title={t('vips.unused')} />}
            <ul className="rows">
              {offered.map((service) => (
                <li key={service.id}>
                  <HealthStatus facts={serviceFacts(service)} />
                  <Link
                    className="name-link grow cut"
                    to="/virtual-services/$serviceId"
                    params={{ serviceId: service.id }}
                  >
                    <bdi>{service.name}</bdi>
                  </Link>
                  <span className="mono dim">
                    {service.protocol} {portsOf(service)}
                  </span>
                </li>
              ))}
            </ul>
          </section>
        </>
      )}
      {doing === 'edit' && virtualIp !== undefined && (
        <EditModal
          title={t('vips.edit', { name: virtualIp.name })}
          of={virtualIps}
          id={virtualIpId}
          fields={virtualIpFields}
          close={() => setDoing(null)}
        />
      )}
      {doing === 'remove' && virtualIp !== undefined && (
        <RemoveModal from={virtualIps} resource={virtualIp} close={() => setDoing(null)} done={close}>
          {t('remove.vip', { address: virtualIp.address })}
        </RemoveModal>
      )}
    </DetailDrawer>
  )
}
