/** What happened, newest first. */
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import type { Schemas } from '../../api/client.ts'
import { useLog } from '../../api/useLog.ts'
import { eventText } from '../../status/eventText.ts'
import { dateTimeExact } from '../../ui/format.ts'
import type { Column } from '../../ui/list/columns.ts'
import { ListPage } from '../../ui/list/ListPage.tsx'
import { Glyph, type Tone } from '../../ui/Status.tsx'

type Event = Schemas['Event']

const route = getRouteApi('/events')
const TONE: Record<Schemas['Severity'], Tone> = { info: 'unknown', warning: 'degraded', error: 'down' }

export function Events() {
  const { t, i18n } = useTranslation()
  const search = route.useSearch()
  const navigate = useNavigate()
  const list = useLog('/api/v1/events')
  const columns = useMemo(
    (): Column<Event>[] => [
      {
        id: 'severity',
        title: t('history.severity'),
        phone: 'status',
        value: ({ severity }) => severity,
        cell: ({ severity }) =>
          severity === 'info' ? (
            <span className="status quiet">{t('history.info')}</span>
          ) : (
            <span className={`status tone-${TONE[severity]}`}>
              <Glyph tone={TONE[severity]} /> {t(`history.${severity}`)}
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
        id: 'message',
        title: t('history.message'),
        phone: 'title',
        value: eventText,
        cell: (event) => <Message event={event} />,
      },
      {
        id: 'kind',
        title: t('history.kind'),
        roomy: true,
        phone: 'hidden',
        value: ({ kind }) => kind,
        cell: ({ kind }) => <span className="mono dim">{kind}</span>,
      },
    ],
    [t, i18n.language],
  )
  return (
    <ListPage
      title={t('nav.events')}
      empty={{ title: t('history.noEvents'), help: t('history.noEventsHelp') }}
      list={list}
      search={search}
      setSearch={(next) => void navigate({ to: '/events', search: next, replace: true })}
      columns={columns}
      idOf={({ id }) => String(id)}
      nameOf={eventText}
      textOf={(event) => `${event.message} ${eventText(event)} ${event.kind} ${event.resource ?? ''}`}
      toneOf={({ severity }) => TONE[severity]}
      pills={(['error', 'warning', 'info'] as const).map((severity) => ({
        id: severity,
        label: t(`history.${severity}`),
        tone: TONE[severity],
        keeps: (event: Event) => event.severity === severity,
      }))}
    />
  )
}

/** The sentence, which leads to what it is about. */
function Message({ event }: { event: Event }) {
  const { resource, resource_id, data } = event
  const text = <bdi className="wrap">{eventText(event)}</bdi>
  if (resource === 'pools' && resource_id !== null) {
    return (
      <Link to="/pools/$poolId" params={{ poolId: resource_id }}>
        {text}
      </Link>
    )
  }
  if (resource === 'virtual_services' && resource_id !== null) {
    return (
      <Link to="/virtual-services/$serviceId" params={{ serviceId: resource_id }}>
        {text}
      </Link>
    )
  }
  const generation = (data as { generation?: unknown } | null)?.generation
  if (typeof generation === 'number') {
    return (
      <Link to="/revisions/$generation" params={{ generation: String(generation) }}>
        {text}
      </Link>
    )
  }
  return text
}
