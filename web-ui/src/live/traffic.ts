/** The last minutes of traffic, kept in this page: the appliance keeps no history yet. */
import { useSyncExternalStore } from 'react'
import type { Stats } from '../api/client.ts'
import { type Rates, type Sample, sample } from './rates.ts'

/** A quarter of an hour at one sample a second. */
const KEPT = 900

export class Traffic {
  #samples: readonly Sample[] = []
  #last: { stats: Stats; at: number } | null = null
  #listeners = new Set<() => void>()

  /** Takes a reading made at `at` milliseconds. */
  add(stats: Stats, at: number) {
    const last = this.#last
    if (last !== null && at - last.at < 300) return
    this.#last = { stats, at }
    if (last === null) return
    const next = sample(last.stats, stats, at / 1000, (at - last.at) / 1000)
    if (next === null) return
    this.#samples = [...this.#samples.slice(1 - KEPT), next]
    this.#listeners.forEach((listener) => listener())
  }

  readonly subscribe = (listener: () => void) => {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  readonly samples = () => this.#samples
}

export const traffic = new Traffic()

/** All samples that are kept, oldest first. */
export const useSamples = () => useSyncExternalStore(traffic.subscribe, traffic.samples)

/** Those of the last so many seconds. */
export function useRecent(seconds: number): readonly Sample[] {
  const samples = useSamples()
  const since = (samples.at(-1)?.at ?? 0) - seconds
  return samples.filter((one) => one.at > since)
}

export interface Series {
  times: number[]
  values: (number | null)[][]
}

/** Columns for a chart. A pause longer than a few seconds is a gap, not a line. */
export function series(samples: readonly Sample[], ...columns: ((one: Sample) => number)[]): Series {
  const times: number[] = []
  const values: (number | null)[][] = columns.map(() => [])
  for (const one of samples) {
    const before = times.at(-1)
    if (before !== undefined && one.at - before > 5) {
      times.push(before + 1)
      values.forEach((column) => column.push(null))
    }
    times.push(one.at)
    columns.forEach((column, index) => values[index]?.push(column(one)))
  }
  return { times, values }
}

export const bits = (rates: Rates | undefined) => (rates?.bitsIn ?? 0) + (rates?.bitsOut ?? 0)

/** As many points as a small picture shows. */
const POINTS = 48

/** The course of a service's throughput: the mean of each of a few equal parts of the time. */
export function courseOf(samples: readonly Sample[], serviceId: string): number[] {
  return course(samples, (one) => bits(one.services.get(serviceId)))
}

export function course(samples: readonly Sample[], value: (one: Sample) => number): number[] {
  const width = Math.max(1, Math.ceil(samples.length / POINTS))
  const means: number[] = []
  // Counted from the end, so that only the last point changes between two samples that fall into one part.
  for (let end = samples.length; end > 0; end -= width) {
    const part = samples.slice(Math.max(0, end - width), end)
    means.unshift(part.reduce((sum, one) => sum + value(one), 0) / part.length)
  }
  return means
}
