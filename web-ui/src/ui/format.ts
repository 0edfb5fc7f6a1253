/** Numbers as they are shown: SI in both languages, so that columns compare. */
const STEPS = ['', 'k', 'M', 'G', 'T'] as const

function scaled(value: number): [string, string] {
  let step = 0
  let rest = Math.abs(value)
  while (rest >= 999.5 && step < STEPS.length - 1) {
    rest /= 1000
    step += 1
  }
  const digits = step === 0 ? (rest < 10 && rest % 1 !== 0 ? 1 : 0) : rest < 9.995 ? 2 : rest < 99.95 ? 1 : 0
  return [rest.toFixed(digits), STEPS[step] ?? '']
}

export function count(value: number): string {
  const [number, step] = scaled(value)
  return number + step
}

export function bitRate(bitsPerSecond: number): string {
  const [number, step] = scaled(bitsPerSecond)
  return `${number} ${step}b/s`
}

export const perSecond = (value: number) => `${count(value)}/s`

export function percent(share: number): string {
  const value = share * 100
  return `${value === 0 || value >= 10 ? value.toFixed(0) : value >= 0.1 ? value.toFixed(1) : value.toFixed(3)}%`
}

export const dateTime = (time: string, language: string) =>
  new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short', hour12: false }).format(new Date(time))

export const dateTimeExact = (time: string, language: string) =>
  new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'medium', hour12: false }).format(new Date(time))

export const date = (at: string, language: string) =>
  new Intl.DateTimeFormat(language, { dateStyle: 'medium' }).format(new Date(at))

export const time = (at: number | string, language: string) =>
  new Intl.DateTimeFormat(language, { timeStyle: 'medium', hour12: false }).format(new Date(at))

/** How long, in the largest unit that it fills. */
export function age(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`
  const seconds = milliseconds / 1000
  if (seconds < 120) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`
  const minutes = seconds / 60
  return minutes < 120 ? `${Math.round(minutes)} min` : `${Math.round(minutes / 60)} h`
}
