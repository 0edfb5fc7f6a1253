/** The first service, in three steps: what the appliance is connected to, what it shall offer, and that it does. */
import { Button } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { membersQuery, oneOf, statsQuery, virtualIpsQuery } from '../../api/queries.ts'
import { services } from '../../api/resources.ts'
import { said } from '../../i18n/index.ts'
import { useReadOnly } from '../../app/usePermission.ts'
import { type Made, ServiceForm } from '../../services/ServiceForm.tsx'
import { memberFacts, serviceFacts } from '../../status/facts.ts'
import { useReason } from '../../status/useReason.ts'
import { ApiCallNote } from '../../ui/form/ApiCallNote.tsx'
import { Glyph, HealthStatus, healthTone, SyncStatus } from '../../ui/Status.tsx'

const STEPS = ['network', 'service', 'result'] as const

export function Start() {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const readOnly = useReadOnly()
  const [step, setStep] = useState<(typeof STEPS)[number]>('network')
  const [made, setMade] = useState<Made | null>(null)
  const leave = () => void navigate({ to: '/' })
  return (
    <div className="start">
      <div className="page-head">
        <h1>{t('start.title')}</h1>
        {step !== 'result' && (
          <Button variant="default" onClick={leave}>
            {t('start.skip')}
          </Button>
        )}
      </div>
      <ol className="steps">
        {STEPS.map((one, index) => (
          <li key={one} aria-current={one === step ? 'step' : undefined}>
            <span className="step-number">{index + 1}</span> {t(`start.${one}`)}
          </li>
        ))}
      </ol>
      <section className="card" aria-label={t(`start.${step}`)}>
        {step === 'network' && <Network go={() => setStep('service')} readOnly={readOnly} />}
        {step === 'service' && (
          <ServiceForm
            initial={{ mode: 'https proxy', port: 443 }}
            cancel={() => setStep('network')}
            close={leave}
            done={(made) => {
              setMade(made)
              setStep('result')
            }}
          />
        )}
        {step === 'result' && made !== null && <Result made={made} leave={leave} />}
      </section>
    </div>
  )
}

function Network({ go, readOnly }: { go: () => void; readOnly: string | undefined }) {
  const { t } = useTranslation()
  const { data: stats } = useQuery(statsQuery)
  return (
    <div className="fields">
      <p>{t('start.networkText')}</p>
      <ul className="rows">
        {stats?.ports.map(({ name, driver, up }) => (
          <li key={name}>
            <Glyph tone={up ? 'up' : 'down'} size={16} />
            <b className="mono">{name}</b>
            <span className="dim grow">{said(driver)}</span>
            <span>{t(up ? 'dashboard.linkUp' : 'dashboard.linkDown')}</span>
          </li>
        ))}
      </ul>
      <p className="note">{t('start.networkHint')}</p>
      <div className="form-end">
        <Button data-autofocus disabled={readOnly !== undefined} title={readOnly} onClick={go}>
          {t('start.next')}
        </Button>
      </div>
    </div>
  )
}

/** How the service does, as it happens; and the same for a script. */
function Result({ made: { id, calls }, leave }: { made: Made; leave: () => void }) {
  const { t } = useTranslation()
  const reasonOf = useReason()
  const { data: service } = useQuery({ ...oneOf(services, id), refetchInterval: 1000 })
  const { data: virtualIps } = useQuery(virtualIpsQuery)
  const poolId = service?.default_pool_id ?? ''
  const { data: members = [] } = useQuery({ ...membersQuery(poolId), enabled: poolId !== '', refetchInterval: 1000 })
  if (service === undefined) return null
  const facts = serviceFacts(service)
  const address = virtualIps?.find((one) => one.id === service.virtual_ip_ids[0])?.address ?? ''
  const url = `${service.protocol === 'https' ? 'https' : 'http'}://${address}:${service.port}`
  return (
    <div className="fields">
      <p className={`note ${healthTone(facts.health)}`}>
        <HealthStatus facts={facts} /> <SyncStatus sync={facts.sync} loud />
        <span>{reasonOf(facts)}</span>
      </p>
      <ul className="rows">
        {members.map((member) => (
          <li key={member.id}>
            <HealthStatus facts={memberFacts(member)} />
            <span className="mono grow">
              {member.address}:{member.port}
            </span>
            <bdi className="dim cut">{said(member.last_check?.words ?? '')}</bdi>
          </li>
        ))}
      </ul>
      <p>
        {t('start.try')}{' '}
        <code className="mono">
          curl{service.protocol === 'https' ? ' -k' : ''} {url}
        </code>
      </p>
      <ApiCallNote calls={() => calls} opened />
      <div className="form-end">
        <Link to="/virtual-services/$serviceId" params={{ serviceId: id }}>
          {t('start.open')}
        </Link>
        <Button onClick={leave}>{t('common.back')}</Button>
      </div>
    </div>
  )
}
