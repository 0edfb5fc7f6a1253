/** The six numbers, each with its course. */
import { useTranslation } from 'react-i18next'
import type { Sample } from '../../live/rates.ts'
import { bits, course, useRecent } from '../../live/traffic.ts'
import { isProxied } from '../../services/modes.ts'
import type { ServiceRow } from '../../services/useServiceRows.ts'
import { serves } from '../../status/facts.ts'
import { bitRate, count, percent, perSecond } from '../../ui/format.ts'
import { Sparkline } from '../../ui/Sparkline.tsx'

export function Figures({ rows, seconds }: { rows: readonly ServiceRow[] | undefined; seconds: number }) {
  const { t } = useTranslation()
  const samples = useRecent(seconds)
  const now = samples.at(-1)
  const peak = (value: (one: Sample) => number, format: (value: number) => string) =>
    t('dashboard.peak', { value: format(Math.max(0, ...samples.map(value))) })
  const none = t('common.none')
  const show = (value: number | undefined, format: (value: number) => string) =>
    value === undefined ? none : format(value)
  const total = now?.total
  const ready = rows?.filter(({ facts }) => serves(facts.health)).length ?? 0
  const throughput = (one: Sample) => bits(one.total)
  const rate = (one: Sample) => one.total.connections
  const requests = (one: Sample) => one.total.requests
  const proxied = rows?.some(({ service }) => isProxied(service)) ?? false
  const packets = (one: Sample) => one.total.packets
  const flows = (one: Sample) => one.flows
  const dropped = (one: Sample) => one.droppedFrames
  const droppedShare = now !== undefined && now.receivedFrames > 0 ? now.droppedFrames / now.receivedFrames : 0
  return (
    <section className="card figures span-all" aria-label={t('dashboard.summary')}>
      <Figure
        name={t('dashboard.throughput')}
        value={show(total && bits(total), bitRate)}
        note={peak(throughput, bitRate)}
        course={course(samples, throughput)}
      />
      <Figure
        name={t('dashboard.newConnections')}
        value={show(total?.connections, perSecond)}
        note={peak(rate, perSecond)}
        course={course(samples, rate)}
      />
      <Figure
        name={t('dashboard.concurrent')}
        value={show(now?.flows, count)}
        note={peak(flows, count)}
        course={course(samples, flows)}
      />
      {proxied ? (
        <Figure
          name={t('dashboard.requests')}
          value={show(total?.requests, perSecond)}
          note={peak(requests, perSecond)}
          course={course(samples, requests)}
        />
      ) : (
        <Figure
          name={t('dashboard.packets')}
          value={show(total?.packets, perSecond)}
          note={peak(packets, perSecond)}
          course={course(samples, packets)}
        />
      )}
      <Figure
        name={t('dashboard.dropped')}
        value={show(now?.droppedFrames, perSecond)}
        note={t('dashboard.ofFrames', { share: percent(droppedShare) })}
        course={course(samples, dropped)}
        tone="series-2"
      />
      <Figure
        name={t('dashboard.services')}
        value={rows === undefined ? none : String(rows.length)}
        note={rows && t('dashboard.servingOf', { ready, all: rows.length })}
      />
    </section>
  )
}

interface FigureProps {
  name: string
  value: string
  note?: string | undefined
  course?: readonly number[]
  tone?: 'series-1' | 'series-2'
}

function Figure({ name, value, note, course, tone }: FigureProps) {
  return (
    <div className="figure">
      <span className="figure-name">{name}</span>
      <span className="figure-value">{value}</span>
      <span className="figure-foot">
        <span className="figure-note">{note}</span>
        {course !== undefined && <Sparkline values={course} tone={tone} />}
      </span>
    </div>
  )
}
