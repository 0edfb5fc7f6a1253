/** What a list shows of a row, and how. */
import type { ReactNode } from 'react'

export interface Column<Row> {
  id: string
  title: string
  cell: (row: Row) => ReactNode
  /** What it is sorted by here, and what stands in an export. */
  value?: (row: Row) => string | number
  /** The API sorts by this; a list that is not complete can be sorted by nothing else. */
  sort?: string
  number?: boolean
  /** Where it stands in a card on a phone; otherwise a line of its own on the left. */
  phone?: 'title' | 'status' | 'right' | 'hidden'
  /** Left out below 1200 px. */
  roomy?: boolean
}

export interface Sorting {
  id: string
  descending: boolean
}

export function parseSorting(text: string | undefined): Sorting | undefined {
  if (!text) return undefined
  const [id = '', direction] = text.split(':')
  return { id, descending: direction === 'desc' }
}

export const sortingText = ({ id, descending }: Sorting) => (descending ? `${id}:desc` : id)

/** The next order that a click on a heading gives: up, down, none. */
export function nextSorting(id: string, now: Sorting | undefined): Sorting | undefined {
  if (now?.id !== id) return { id, descending: false }
  return now.descending ? undefined : { id, descending: true }
}

const collator = new Intl.Collator('en', { numeric: true })

export function compare(a: string | number, b: string | number): number {
  return typeof a === 'number' && typeof b === 'number' ? a - b : collator.compare(String(a), String(b))
}

export function sorted<Row>(rows: readonly Row[], columns: readonly Column<Row>[], by: Sorting | undefined): Row[] {
  const value = columns.find(({ id }) => id === by?.id)?.value
  if (value === undefined) return [...rows]
  const direction = by?.descending === true ? -1 : 1
  return [...rows].sort((a, b) => direction * compare(value(a), value(b)))
}

/** RFC 4180, without what a spreadsheet would take for a formula. */
export function csv<Row>(rows: readonly Row[], columns: readonly Column<Row>[]): string {
  const shown = columns.filter(({ value }) => value !== undefined)
  const line = (cells: string[]) => cells.map(quoted).join(',')
  return [line(shown.map(({ title }) => title)), ...rows.map((row) => line(shown.map((c) => String(c.value?.(row)))))]
    .map((text) => `${text}\r\n`)
    .join('')
}

function quoted(cell: string): string {
  const plain = /^[=+\-@\t\r]/.test(cell) && !/^-?\d/.test(cell) ? `'${cell}` : cell
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain
}
