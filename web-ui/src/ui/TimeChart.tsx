/** Two courses over time on one axis: the first solid and filled, the second dashed. */
import { useComputedColorScheme } from '@mantine/core'
import { useEffect, useRef } from 'react'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import type { Series } from '../live/traffic.ts'

interface Props {
  series: Series
  labels: [string, string]
  /** Seconds that the axis spans, up to the last value. */
  span: number
  format: (value: number) => string
  height?: number
  /** What the axis reaches at least. */
  least?: number
}

const token = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

export function TimeChart({ series, labels, span, format, height = 220, least = 1000 }: Props) {
  const box = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>(null)
  const scheme = useComputedColorScheme('light')
  const [first, second] = labels

  useEffect(() => {
    const element = box.current
    if (element === null) return
    const made = new uPlot(options(element.clientWidth, height, [first, second], format), [[], [], []], element)
    plot.current = made
    const observer = new ResizeObserver(() => made.setSize({ width: element.clientWidth, height }))
    observer.observe(element)
    return () => {
      observer.disconnect()
      made.destroy()
      plot.current = null
    }
  }, [scheme, first, second, format, height])

  useEffect(() => {
    const made = plot.current
    const last = series.times.at(-1)
    if (made === null) return
    const until = last ?? Date.now() / 1000
    made.batch(() => {
      made.setData([series.times, ...series.values] as uPlot.AlignedData, false)
      made.setScale('x', { min: until - span, max: until })
      const values = series.values.flat().filter((value) => value !== null)
      made.setScale('y', { min: 0, max: Math.max(least, ...values) * 1.15 })
    })
  }, [series, span, scheme, first, second, format, height, least])

  return <div className="chart" ref={box} aria-hidden="true" />
}

function options(
  width: number,
  height: number,
  labels: [string, string],
  format: (value: number) => string,
): uPlot.Options {
  const axis: uPlot.Axis = {
    stroke: token('--text-3'),
    font: `11px ${token('--mantine-font-family')}`,
    grid: { stroke: token('--border'), width: 1 },
    ticks: { show: false },
  }
  const [blue, orange] = [token('--series-1'), token('--series-2')]
  const values = (_: uPlot, ticks: number[]) =>
    ticks.map((tick) => new Date(tick * 1000).toTimeString().slice(0, ticks.every((one) => one % 60 === 0) ? 5 : 8))
  return {
    width,
    height,
    legend: { show: false },
    padding: [8, 12, 0, 0],
    cursor: { y: false, points: { size: 6 } },
    scales: { x: { time: true }, y: { auto: false } },
    axes: [
      { ...axis, values, space: 80, size: 28 },
      { ...axis, values: (_, ticks) => ticks.map(format), size: 76, space: 44 },
    ],
    series: [
      {},
      { label: labels[0], stroke: blue, width: 1.5, fill: `${blue}22`, points: { show: false } },
      { label: labels[1], stroke: orange, width: 1.5, dash: [6, 4], points: { show: false } },
    ],
  }
}
