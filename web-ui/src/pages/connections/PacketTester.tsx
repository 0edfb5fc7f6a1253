/** What would become of a packet: which service, which member and why, or why it is dropped. Nothing is sent or counted. */
import { Drawer } from '@mantine/core'
import { useMutation, useQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { answer, api, type Schemas } from '../../api/client.ts'
import { membersQuery, servicesQuery, virtualIpsQuery } from '../../api/queries.ts'
import { pools, services } from '../../api/resources.ts'
import { useOne } from '../../api/useOne.ts'
import { isProxied } from '../../services/modes.ts'
import { Pairs } from '../../ui/DetailDrawer.tsx'
import { type Field, type Values, valuesOf } from '../../ui/form/fields.ts'
import { ResourceForm } from '../../ui/form/ResourceForm.tsx'
import { Glyph, type Tone } from '../../ui/Status.tsx'
import { endText } from './ends.ts'

type Explanation = Schemas['PacketExplanationView']

const described = ({ way }: Values) => way === 'packet'
const captured = ({ way }: Values) => way === 'frame'
const PORT = { kind: 'number', min: 1, max: 65535, beside: true } as const

function useFields(): readonly Field[] {
  const { t } = useTranslation()
  const { data: virtualIps = [] } = useQuery(virtualIpsQuery)
  return [
    {
      path: 'way',
      kind: 'choice',
      label: 'packet.way',
      usual: 'packet',
      choices: [
        { value: 'packet', label: t('packet.described') },
        { value: 'frame', label: t('packet.captured') },
      ],
    },
    {
      path: 'packet.protocol',
      kind: 'choice',
      label: 'field.protocol',
      usual: 'tcp',
      choices: ['tcp', 'udp'].map((value) => ({ value, label: value.toUpperCase() })),
      when: described,
    },
    { path: 'packet.source.address', kind: 'mono', label: 'packet.source', required: true, when: described },
    { path: 'packet.source.port', label: 'field.port', usual: 40_000, ...PORT, when: described },
    {
      path: 'packet.destination.address',
      kind: 'suggested',
      label: 'packet.destination',
      required: true,
      choices: virtualIps.map(({ address }) => address),
      when: described,
    },
    { path: 'packet.destination.port', label: 'field.port', usual: 80, ...PORT, when: described },
    {
      path: 'packet.flags',
      kind: 'several',
      label: 'packet.flags',
      help: 'packet.flagsHelp',
      usual: ['syn'],
      choices: ['syn', 'ack', 'fin', 'rst', 'psh'].map((value) => ({ value, label: value.toUpperCase() })),
      when: (values) => described(values) && values['packet.protocol'] === 'tcp',
    },
    { path: 'frame', kind: 'long', label: 'packet.frame', help: 'packet.frameHelp', required: true, when: captured },
    { path: 'port', kind: 'mono', label: 'packet.port', help: 'packet.portHelp', advanced: true },
  ]
}

/** What is asked: a packet in words, or one that was captured. */
function bodyOf(values: Values): Schemas['PacketSettings'] {
  const text = (path: string) => String(values[path] ?? '').trim()
  const port = text('port')
  const host = (path: string) => ({ address: text(`${path}.address`), port: Number(values[`${path}.port`]) })
  const rest = port === '' ? {} : { port }
  if (captured(values)) return { frame: text('frame'), ...rest }
  const protocol = text('packet.protocol')
  const flags = protocol === 'tcp' ? { flags: [...(values['packet.flags'] as readonly string[])] } : {}
  const packet = { protocol, source: host('packet.source'), destination: host('packet.destination'), ...flags }
  return { packet: packet as NonNullable<Schemas['PacketSettings']['packet']>, ...rest }
}

export function PacketTester() {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const fields = useFields()
  const { data: all } = useQuery(servicesQuery)
  const { data: virtualIps } = useQuery(virtualIpsQuery)
  const first = all?.find((one) => !isProxied(one))
  const address = virtualIps?.find(({ id }) => id === first?.virtual_ip_ids[0])?.address
  const asking = useMutation({
    mutationFn: (body: Schemas['PacketSettings']) => answer(api.POST('/api/v1/explain/packet', { body })),
  })
  const close = () => void navigate({ to: '/connections', search: (now) => now })
  const initial = {
    ...valuesOf(fields, {}),
    ...(address !== undefined && { 'packet.destination.address': address }),
    ...(first !== undefined && { 'packet.destination.port': first.port }),
    ...(first?.protocol === 'udp' && { 'packet.protocol': 'udp' }),
  }
  return (
    <Drawer
      opened
      onClose={close}
      position="right"
      size={860}
      title={t('packet.title')}
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <div className="detail">
        <p className="dim">{t('packet.lead')}</p>
        {all !== undefined && virtualIps !== undefined && (
          <ResourceForm
            fields={fields}
            initial={initial}
            submit={(values) => asking.mutateAsync(bodyOf(values))}
            label={t('tester.ask')}
            cancel={close}
            ready
            calls={(values) => [{ method: 'POST', url: '/api/v1/explain/packet', body: bodyOf(values) }]}
          />
        )}
        {asking.data !== undefined && asking.error === null && <Result of={asking.data} />}
      </div>
    </Drawer>
  )
}

const TONES: Record<Explanation['verdict'], Tone> = {
  send: 'up',
  reply: 'degraded',
  punt: 'unknown',
  hold: 'degraded',
  drop: 'down',
}

function Result({ of }: { of: Explanation }) {
  const { t } = useTranslation()
  const { data: service } = useOne(services, of.virtual_service_id ?? '')
  const { data: pool } = useOne(pools, of.pool_id ?? '')
  const { data: members } = useQuery({ ...membersQuery(of.pool_id ?? ''), enabled: of.pool_id !== null })
  const member = members?.find(({ id }) => id === of.member_id)
  const pairs: [string, React.ReactNode][] = []
  if (of.virtual_service_id !== null) {
    const params = { serviceId: of.virtual_service_id }
    pairs.push([
      t('detail.service'),
      <Link key="service" to="/virtual-services/$serviceId" params={params}>
        <bdi>{service?.name ?? of.virtual_service_id}</bdi>
      </Link>,
    ])
  }
  if (of.network !== null) {
    const word = t(of.network.allowed ? 'packet.allowed' : 'packet.denied')
    pairs.push([t('packet.network'), `${of.network.network ?? t('packet.noNetwork')}: ${word}`])
  }
  if (of.pool_id !== null) {
    pairs.push([
      t('detail.pool'),
      <Link key="pool" to="/pools/$poolId" params={{ poolId: of.pool_id }}>
        <bdi>{pool?.name ?? of.pool_id}</bdi>
      </Link>,
    ])
  }
  if (of.member_id !== null) {
    const text = member === undefined ? of.member_id : endText(member)
    pairs.push([
      t('detail.member'),
      <span key="member" className="mono">
        {text}
      </span>,
    ])
  }
  if (of.choice !== null) {
    const { by, algorithm } = of.choice
    pairs.push([
      t('packet.choice'),
      by === 'connection' || algorithm === null ? t('packet.hasIt') : t(`algorithm.${algorithm}`),
    ])
  }
  pairs.push([
    t('packet.comesBy'),
    <span key="port" className="mono">
      {of.port}
    </span>,
  ])
  pairs.push([t('network.worker'), of.worker])
  if (of.leaves !== null) {
    const { port, packet, next_hop } = of.leaves
    const ends = packet === null ? '' : `${endText(packet.source)} → ${endText(packet.destination)}`
    pairs.push([
      t('packet.leaves'),
      <span key="leaves" className="mono">
        {[port, next_hop, ends].filter(Boolean).join(' · ')}
      </span>,
    ])
  }
  return (
    <section aria-label={t('tester.outcome')} role="status">
      <h3>{t('tester.outcome')}</h3>
      <p className={`note ${of.verdict === 'drop' ? 'down' : ''}`}>
        <Glyph tone={TONES[of.verdict]} size={16} />
        <span>
          {t(`verdict.${of.verdict}`)}
          {of.reason !== null && <code className="mono"> {of.reason}</code>}
        </span>
      </p>
      <Pairs pairs={pairs} />
    </section>
  )
}
