/** The last requests of layer 7: who asked what, who answered how, and where the time went. */
import { Drawer, Select, TextInput } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Schemas } from '../../api/client.ts'
import { servicesQuery } from '../../api/queries.ts'
import { useObserved } from '../../api/useObserved.ts'
import type { TextKey } from '../../i18n/index.ts'
import { age, count, dateTimeExact, time } from '../../ui/format.ts'
import type { Column } from '../../ui/list/columns.ts'
import { ObservedList } from '../../ui/list/ObservedList.tsx'
import { Glyph, type Tone } from '../../ui/Status.tsx'
import { endText } from '../connections/ends.ts'
import type { RequestSearch } from './query.ts'
import { RequestFacts } from './RequestFacts.tsx'
import { RequestTimes } from './RequestTimes.tsx'
import { ENDINGS, PHASES, phasesOf } from './times.ts'

type Request = Schemas['Request']
/** Requests have no name of their own. */
type Row = Request & { key: string }

const route = getRouteApi('/requests')
const CLASSES = ['2xx', '3xx', '4xx', '5xx'] as const

const toneOf = ({ status, ending }: Request): Tone =>
  (status ?? 599) >= 500 ? 'down' : ending !== null || (status ?? 0) >= 400 ? 'degraded' : 'up'

export function Requests() {
  const { t, i18n } = useTranslation()
  const search = route.useSearch()
  const [frozen, setFrozen] = useState(false)
  const [opened, setOpened] = useState<Request | null>(null)
  const seen = useObserved('/api/v1/requests', search, frozen)
  const rows = useMemo(() => seen.rows && named(seen.rows), [seen.rows])
  const columns = useColumns()
  return (
    <>
      <div className="page-head">
        <h1>{t('nav.requests')}</h1>
      </div>
      <p className="lead">{t('requests.lead')}</p>
      <ObservedList
        label={t('nav.requests')}
        seen={{ ...seen, rows }}
        filters={<Filters />}
        filtered={Object.values(search).some((one) => one !== undefined)}
        shown={(n) => t('requests.shown', { n })}
        empty={t('requests.empty')}
        emptyHelp={t('requests.emptyHelp')}
        frozen={frozen}
        setFrozen={setFrozen}
        columns={columns}
        idOf={({ key }) => key}
        nameOf={({ method, path }) => `${method ?? ''} ${path ?? ''}`}
        open={setOpened}
      />
      {opened !== null && (
        <Drawer
          opened
          onClose={() => setOpened(null)}
          position="right"
          size={620}
          title={t('requests.detail', { time: dateTimeExact(opened.began_at, i18n.language) })}
          closeButtonProps={{ 'aria-label': t('common.close') }}
        >
          <div className="detail">
            <RequestFacts of={opened} />
            <h3>{t('requests.times')}</h3>
            <RequestTimes of={opened} />
            <dl className="facts">
              {PHASES.map((phase) => (
                <div key={phase}>
                  <dt>
                    <span className={`swatch phase-${phase}`} aria-hidden="true" /> {t(`requests.${phase}`)}
                  </dt>
                  <dd>{micro(phasesOf(opened)[phase])}</dd>
                </div>
              ))}
              <div>
                <dt>{t('requests.total')}</dt>
                <dd>{micro(opened.times.total_us)}</dd>
              </div>
            </dl>
          </div>
        </Drawer>
      )}
    </>
  )
}

/** Tells those apart that began at the same moment. */
function named(requests: readonly Request[]): Row[] {
  const times = new Map<string, number>()
  return requests.map((request) => {
    const about = `${request.began_at} ${endText(request.client)} ${request.path}`
    const nth = times.get(about) ?? 0
    times.set(about, nth + 1)
    return { ...request, key: `${about} ${nth}` }
  })
}

const micro = (microseconds: number) => (microseconds < 1000 ? `${microseconds} µs` : age(microseconds / 1000))

function Filters() {
  const { t } = useTranslation()
  const search = route.useSearch()
  const navigate = useNavigate()
  const { data: services = [] } = useQuery(servicesQuery)
  const set = (change: RequestSearch) =>
    void navigate({ to: '/requests', search: { ...search, ...change }, replace: true })
  const asked = services.filter(({ protocol }) => protocol === 'http' || protocol === 'https')
  return (
    <div className="filters">
      <TextInput
        className="search"
        type="search"
        aria-label={t('connections.client')}
        placeholder={t('connections.clientHelp')}
        value={search.client ?? ''}
        onChange={(event) => set({ client: event.currentTarget.value.trim() || undefined })}
      />
      <Select
        aria-label={t('detail.service')}
        placeholder={t('connections.anyService')}
        data={asked.map(({ id, name }) => ({ value: id, label: name }))}
        value={search.virtual_service_id ?? null}
        searchable
        clearable
        nothingFoundMessage={t('form.nothingFound')}
        onChange={(value) => set({ virtual_service_id: value ?? undefined })}
      />
      <Select
        aria-label={t('requests.status')}
        placeholder={t('requests.anyStatus')}
        data={CLASSES.map((value) => ({ value, label: value }))}
        value={search.status ?? null}
        clearable
        onChange={(value) => set({ status: value ?? undefined })}
      />
      <Select
        aria-label={t('requests.ending')}
        placeholder={t('requests.anyEnding')}
        data={ENDINGS.map((value) => ({ value, label: t(`ending.${value}`) }))}
        value={search.ending ?? null}
        searchable
        clearable
        nothingFoundMessage={t('form.nothingFound')}
        onChange={(value) => set({ ending: value ?? undefined })}
      />
    </div>
  )
}

function useColumns(): Column<Row>[] {
  const { t, i18n } = useTranslation()
  const { data: services } = useQuery(servicesQuery)
  return useMemo(
    () => [
      {
        id: 'status',
        title: t('requests.status'),
        phone: 'status',
        cell: (request) => (
          <span className="status">
            <Glyph tone={toneOf(request)} size={14} /> {request.status ?? t('common.none')}
          </span>
        ),
      },
      {
        id: 'request',
        title: t('requests.request'),
        phone: 'title',
        cell: ({ method, host, path }) =>
          method === null ? (
            <span className="dim">{t('requests.noHead')}</span>
          ) : (
            <span className="cut">
              <span className="tag">{method}</span> <bdi className="mono">{`${host ?? ''}${path ?? ''}`}</bdi>
            </span>
          ),
      },
      {
        id: 'service',
        title: t('detail.service'),
        phone: 'hidden',
        cell: ({ virtual_service_id: id }) => (
          <Link to="/virtual-services/$serviceId" params={{ serviceId: id }}>
            <bdi>{services?.find((one) => one.id === id)?.name ?? id}</bdi>
          </Link>
        ),
      },
      {
        id: 'client',
        title: t('connections.client'),
        roomy: true,
        phone: 'hidden',
        cell: ({ client }) => <span className="mono nowrap">{endText(client)}</span>,
      },
      {
        id: 'ending',
        title: t('requests.ending'),
        cell: ({ ending }) => (ending === null ? t('requests.well') : t(`ending.${ending}` as TextKey)),
      },
      {
        id: 'times',
        title: t('requests.times'),
        phone: 'hidden',
        roomy: true,
        cell: (request) => <RequestTimes of={request} />,
      },
      {
        id: 'took',
        title: t('requests.took'),
        number: true,
        phone: 'right',
        cell: ({ times }) => <span className="nowrap">{micro(times.total_us)}</span>,
      },
      {
        id: 'bytes',
        title: t('requests.bytes'),
        number: true,
        phone: 'hidden',
        roomy: true,
        cell: ({ bytes_in, bytes_out }) => <span className="nowrap">{`${count(bytes_in)} · ${count(bytes_out)}`}</span>,
      },
      {
        id: 'time',
        title: t('requests.time'),
        number: true,
        phone: 'hidden',
        cell: ({ began_at }) => <span className="nowrap">{time(began_at, i18n.language)}</span>,
      },
    ],
    [t, i18n.language, services],
  )
}
