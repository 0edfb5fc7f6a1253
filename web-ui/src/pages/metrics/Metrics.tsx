/** Courses over time: of everything, or of one virtual service. */
import { SegmentedControl, Select } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { servicesQuery } from '../../api/queries.ts'
import { NO_RATES, type Rates, type Sample } from '../../live/rates.ts'
import { series, useRecent } from '../../live/traffic.ts'
import { Card } from '../../ui/Card.tsx'
import { bitRate, count, perSecond, time } from '../../ui/format.ts'
import { Legend } from '../../ui/Legend.tsx'
import { TimeChart } from '../../ui/TimeChart.tsx'

const route = getRouteApi('/charts')
const MINUTES = [1, 5, 15]
/** Rows of a table beside a chart. */
const ROWS = 12

export function Metrics() {
  const { t } = useTranslation()
  const { of, minutes = 5 } = route.useSearch()
  const navigate = useNavigate()
  const { data: services = [] } = useQuery(servicesQuery)
  const show = (search: { of?: string | undefined; minutes: number }) =>
    void navigate({ to: '/charts', search, replace: true })
  const rates = (one: Sample): Rates => (of === undefined ? one.total : (one.services.get(of) ?? NO_RATES))
  const none = services.length === 0
  return (
    <>
      <div className="page-head">
        <h1>{t('nav.metrics')}</h1>
        <Select
          aria-label={t('metrics.of')}
          placeholder={t('metrics.all')}
          data={services.map(({ id, name }) => ({ value: id, label: name }))}
          value={of ?? null}
          disabled={none}
          clearable
          searchable
          onChange={(next) => show({ of: next ?? undefined, minutes })}
        />
        <SegmentedControl
          size="xs"
          aria-label={t('dashboard.range')}
          value={String(minutes)}
          onChange={(value) => show({ of, minutes: Number(value) })}
          data={MINUTES.map((n) => ({ value: String(n), label: t('dashboard.minutes', { n }) }))}
        />
      </div>
      <div className="charts">
        <Chart
          title={t('services.throughput')}
          labels={[t('dashboard.inbound'), t('dashboard.outbound')]}
          seconds={minutes * 60}
          values={[(one) => rates(one).bitsIn, (one) => rates(one).bitsOut]}
          format={bitRate}
          subject={of}
        />
        <Chart
          title={t('metrics.given')}
          labels={[t('services.connections'), t('detail.requests')]}
          seconds={minutes * 60}
          values={[(one) => rates(one).connections, (one) => rates(one).requests]}
          format={perSecond}
          subject={of}
        />
        {of === undefined && (
          <>
            <Chart
              title={t('metrics.frames')}
              labels={[t('network.received'), t('network.dropped')]}
              seconds={minutes * 60}
              values={[(one) => one.receivedFrames, (one) => one.droppedFrames]}
              format={perSecond}
              subject={of}
            />
            <Chart
              title={t('dashboard.concurrent')}
              labels={[t('dashboard.concurrent'), t('metrics.packets')]}
              seconds={minutes * 60}
              values={[(one) => one.flows, (one) => one.total.packets]}
              format={count}
              subject={of}
            />
          </>
        )}
      </div>
      <p className="small dim">{t('metrics.kept')}</p>
    </>
  )
}

interface ChartProps {
  title: string
  labels: [string, string]
  seconds: number
  values: [(one: Sample) => number, (one: Sample) => number]
  format: (value: number) => string
  /** Of what it is: another one is another chart. */
  subject: string | undefined
}

function Chart({ title, labels, seconds, values: [first, second], format, subject }: ChartProps) {
  const { t, i18n } = useTranslation()
  const samples = useRecent(seconds)
  // eslint-disable-next-line react-hooks/exhaustive-deps -- the functions only differ with the subject
  const shown = useMemo(() => series(samples, first, second), [samples, subject])
  const step = Math.max(1, Math.floor(samples.length / ROWS))
  const rows = samples.filter((_, index) => (samples.length - 1 - index) % step === 0).slice(-ROWS)
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
            {rows.map((one) => (
              <tr key={one.at}>
                <td>{time(one.at * 1000, i18n.language)}</td>
                <td className="number">{format(first(one))}</td>
                <td className="number">{format(second(one))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </Card>
  )
}
