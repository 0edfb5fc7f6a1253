/** Courses over time, as the appliance measured and kept them: of everything, or of one virtual service. */
import { SegmentedControl, Select } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { servicesQuery } from '../../api/queries.ts'
import { useSummed } from '../../live/history.ts'
import { RANGES, useRangeWord } from '../../live/ranges.ts'
import { Card } from '../../ui/Card.tsx'
import { bitRate, count, dateTime, perSecond } from '../../ui/format.ts'
import { Legend } from '../../ui/Legend.tsx'
import { TimeChart } from '../../ui/TimeChart.tsx'

const route = getRouteApi('/charts')
/** Rows of a table beside a chart. */
const ROWS = 12

type Column = { metric: string; times?: number }

export function Metrics() {
  const { t } = useTranslation()
  const { of, minutes = 15 } = route.useSearch()
  const navigate = useNavigate()
  const word = useRangeWord()
  const { data: services = [] } = useQuery(servicesQuery)
  const show = (search: { of?: string | undefined; minutes: number }) =>
    void navigate({ to: '/charts', search, replace: true })
  const seconds = minutes * 60
  const asked =
    of === undefined
      ? ({ resource: 'all-virtual-services' } as const)
      : ({ resource: 'virtual-services', ids: [of] } as const)
  return (
    <>
      <div className="page-head">
        <h1>{t('nav.metrics')}</h1>
        <Select
          aria-label={t('metrics.of')}
          placeholder={t('metrics.all')}
          data={services.map(({ id, name }) => ({ value: id, label: name }))}
          value={of ?? null}
          disabled={services.length === 0}
          clearable
          searchable
          onChange={(next) => show({ of: next ?? undefined, minutes })}
        />
        <SegmentedControl
          size="xs"
          aria-label={t('dashboard.range')}
          value={String(minutes)}
          onChange={(value) => show({ of, minutes: Number(value) })}
          data={RANGES.map((n) => ({ value: String(n), label: word(n) }))}
        />
      </div>
      <div className="charts">
        <Chart
          title={t('services.throughput')}
          labels={[t('dashboard.inbound'), t('dashboard.outbound')]}
          columns={[
            { metric: 'bytes_in', times: 8 },
            { metric: 'bytes_out', times: 8 },
          ]}
          {...{ seconds, ...asked, format: bitRate }}
        />
        <Chart
          title={t('metrics.given')}
          labels={[t('services.connections'), t('detail.requests')]}
          columns={[{ metric: 'connections' }, { metric: 'requests' }]}
          {...{ seconds, ...asked, format: perSecond }}
        />
        <Chart
          title={t('metrics.answers')}
          labels={[t('metrics.well'), t('metrics.failed')]}
          columns={[{ metric: 'answers_2xx' }, { metric: 'answers_5xx' }]}
          {...{ seconds, ...asked, format: perSecond }}
        />
        <Chart
          title={t('metrics.packets')}
          labels={[t('dashboard.inbound'), t('dashboard.outbound')]}
          columns={[{ metric: 'packets_in' }, { metric: 'packets_out' }]}
          {...{ seconds, ...asked, format: perSecond }}
        />
        {of === undefined && (
          <>
            <Chart
              title={t('metrics.frames')}
              labels={[t('network.received'), t('network.dropped')]}
              columns={[{ metric: 'received' }, { metric: 'dropped' }]}
              {...{ seconds, resource: 'appliance', format: perSecond }}
            />
            <Chart
              title={t('dashboard.concurrent')}
              labels={[t('dashboard.concurrent'), t('network.held')]}
              columns={[{ metric: 'flows' }, { metric: 'held' }]}
              {...{ seconds, resource: 'appliance', format: count }}
            />
          </>
        )}
      </div>
    </>
  )
}

interface ChartProps {
  title: string
  labels: [string, string]
  columns: readonly [Column, Column]
  resource: 'virtual-services' | 'all-virtual-services' | 'appliance'
  ids?: readonly string[]
  seconds: number
  format: (value: number) => string
}

function Chart({ title, labels, columns, resource, ids, seconds, format }: ChartProps) {
  const { t, i18n } = useTranslation()
  const shown = useSummed({ resource, ids, metrics: columns.map(({ metric }) => metric), seconds }, columns)
  const { times, values } = shown
  const step = Math.max(1, Math.floor(times.length / ROWS))
  const rows = times.map((_, index) => index).filter((index) => (times.length - 1 - index) % step === 0)
  const cell = (value: number | null | undefined) =>
    value === null || value === undefined ? t('common.none') : format(value)
  return (
    <Card title={title} aside={<Legend labels={labels} />}>
      <TimeChart series={shown} labels={labels} span={seconds} format={format} height={200} least={1} />
      <details className="fold">
        <summary>{t('dashboard.table')}</summary>
        <table className="table" aria-label={title}>
          <thead>
            <tr>
              <th>{t('history.at')}</th>
              <th className="number">{labels[0]}</th>
              <th className="number">{labels[1]}</th>
            </tr>
          </thead>
          <tbody>
            {rows.slice(-ROWS).map((index) => (
              <tr key={times[index]}>
                <td>{dateTime(new Date((times[index] ?? 0) * 1000).toISOString(), i18n.language)}</td>
                <td className="number">{cell(values[0]?.[index])}</td>
                <td className="number">{cell(values[1]?.[index])}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </Card>
  )
}
