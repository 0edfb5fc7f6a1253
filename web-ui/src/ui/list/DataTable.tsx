/**
 * Rows of anything: only those near the window are in the page, so ten thousand cost as much as fifty. On a phone a row is a
 * card. `j` and `k` go from row to row, Space selects, Enter opens.
 */
import { Checkbox } from '@mantine/core'
import { IconArrowDown, IconArrowUp } from '@tabler/icons-react'
import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { type ReactNode, useEffect, useLayoutEffect, useRef } from 'react'
import { useTranslation } from 'react-i18next'
import { useKeys } from '../keys.ts'
import { useTop } from '../useTop.ts'
import type { Tone } from '../Status.tsx'
import { type Column, nextSorting, type Sorting } from './columns.ts'

const ROW_PX = 37
const CARD_PX = 96
/** Up to here all rows are in the page: it prints, and the browser finds text in it. */
const ALL = 80

export interface DataTableProps<Row> {
  /** For programs that read the screen. */
  label: string
  rows: readonly Row[]
  columns: readonly Column<Row>[]
  idOf: (row: Row) => string
  nameOf: (row: Row) => string
  toneOf?: ((row: Row) => Tone) | undefined
  open?: ((row: Row) => void) | undefined
  sorting?: Sorting | undefined
  setSorting?: ((sorting: Sorting | undefined) => void) | undefined
  /** Which columns can be sorted; the API sorts a long list by few. */
  sortable?: ((column: Column<Row>) => boolean) | undefined
  selected?: ReadonlySet<string> | undefined
  setSelected?: ((selected: ReadonlySet<string>) => void) | undefined
  actions?: ((row: Row) => ReactNode) | undefined
  /** Called when the end comes near. */
  more?: (() => void) | undefined
}

export function DataTable<Row>(props: DataTableProps<Row>) {
  const { label, rows, columns, idOf, more } = props
  const table = useRef<HTMLTableElement>(null)
  const top = useTop(table)
  const card = typeof window !== 'undefined' && window.innerWidth < 768
  const all = rows.length <= ALL
  const virtual = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => (card ? CARD_PX : ROW_PX),
    overscan: 16,
    scrollMargin: top,
    enabled: !all,
  })
  const shown = all ? rows.map((_, index) => index) : virtual.getVirtualItems().map(({ index }) => index)
  const first = virtual.getVirtualItems()[0]
  const last = virtual.getVirtualItems().at(-1)
  const before = all || first === undefined ? 0 : first.start - top
  const after = all || last === undefined ? 0 : virtual.getTotalSize() - (last.end - top)
  const lastShown = shown.at(-1) ?? 0
  useEffect(() => {
    if (lastShown > rows.length - 30) more?.()
  }, [lastShown, rows.length, more])
  const focus = useRowKeys(table, props, (index) => virtual.scrollToIndex(index, { align: 'auto' }), all)

  return (
    <table ref={table} className="table list" aria-label={label} aria-rowcount={rows.length + 1} {...focus}>
      <Head {...props} />
      <tbody>
        {before > 0 && <tr className="gap" style={{ height: before }} aria-hidden="true" />}
        {shown.map((index) => {
          const row = rows[index]
          if (row === undefined) return null
          return (
            <Row
              key={idOf(row)}
              {...props}
              columns={columns}
              row={row}
              index={index}
              measure={all ? undefined : virtual.measureElement}
            />
          )
        })}
        {after > 0 && <tr className="gap" style={{ height: after }} aria-hidden="true" />}
      </tbody>
    </table>
  )
}

/** Keys that go from row to row. What it gives belongs to the table. */
function useRowKeys<Row>(
  table: React.RefObject<HTMLTableElement | null>,
  { rows, selected, setSelected, idOf, open }: DataTableProps<Row>,
  scrollTo: (index: number) => void,
  all: boolean,
) {
  const here = useRowInFocus(table)
  const focused = () => indexOf(document.activeElement, table.current)
  /** Where the focus is, or was before its row left the page. */
  const at = () => {
    const id = here.current
    if (focused() >= 0 || id === null || document.activeElement !== document.body) return focused()
    return rows.findIndex((row) => idOf(row) === id)
  }
  const go = (index: number) => {
    if (index < 0 || index >= rows.length) return
    const focus = () => table.current?.querySelector<HTMLElement>(`tr[data-index="${index}"]`)?.focus()
    if (all) return focus()
    scrollTo(index)
    requestAnimationFrame(() => requestAnimationFrame(focus))
  }
  useKeys({
    j: () => go(at() + 1),
    k: () => go(at() - 1),
    ' ': () => {
      const row = rows[focused()]
      if (row === undefined || setSelected === undefined) return false
      setSelected(toggled(selected ?? new Set(), idOf(row)))
      return true
    },
    Enter: () => {
      const row = rows[focused()]
      if (row === undefined || open === undefined || document.activeElement?.tagName !== 'TR') return false
      open(row)
      return true
    },
  })
  return {
    onFocus: ({ target }: React.FocusEvent) => {
      // The menu of a row is not inside of it, though React says so.
      if (table.current?.contains(target) !== true) return
      const row = rows[indexOf(target, table.current)]
      here.enter(row === undefined ? null : idOf(row))
    },
    onBlur: here.leave,
  }
}

const indexOf = (element: Element | null, table: HTMLTableElement | null) =>
  table?.contains(element) === true ? Number(element?.closest('tr')?.getAttribute('data-index') ?? -1) : -1

/**
 * Remembers the row that has the focus by what it is of. Where a list is drawn anew its element may be another one, and where it is
 * scrolled away there is none: the focus falls to the page, and comes back with the row.
 */
function useRowInFocus(table: React.RefObject<HTMLTableElement | null>) {
  const row = useRef<{ id: string | null; inside: boolean }>({ id: null, inside: false })
  useLayoutEffect(() => {
    const { id, inside } = row.current
    if (!inside || id === null || document.activeElement !== document.body) return
    table.current?.querySelector<HTMLElement>(`tr[data-id="${CSS.escape(id)}"]`)?.focus({ preventScroll: true })
  })
  return {
    get current() {
      return row.current.id
    },
    enter: (id: string | null) => {
      row.current = { id, inside: id !== null }
    },
    /** Somebody went elsewhere: React tells of no focus that ends with its element. */
    leave: () => {
      row.current = { ...row.current, inside: false }
    },
  }
}

function toggled(selected: ReadonlySet<string>, id: string): ReadonlySet<string> {
  const next = new Set(selected)
  if (!next.delete(id)) next.add(id)
  return next
}

function Head<Row>(props: DataTableProps<Row>) {
  const { rows, columns, idOf, sorting, setSorting, sortable, selected, setSelected, actions } = props
  const { t } = useTranslation()
  const every = rows.length > 0 && rows.every((row) => selected?.has(idOf(row)))
  const some = !every && rows.some((row) => selected?.has(idOf(row)))
  return (
    <thead>
      <tr>
        {setSelected !== undefined && (
          <th className="cell-check">
            <Checkbox
              size="xs"
              aria-label={t('list.selectAll')}
              checked={every}
              indeterminate={some}
              onChange={() => setSelected(every ? new Set() : new Set(rows.map(idOf)))}
            />
          </th>
        )}
        {columns.map((column) => {
          const now = sorting?.id === column.id ? sorting : undefined
          const order = now === undefined ? 'none' : now.descending ? 'descending' : 'ascending'
          const can = setSorting !== undefined && (sortable?.(column) ?? column.value !== undefined)
          return (
            <th key={column.id} aria-sort={can ? order : undefined} className={headClass(column)}>
              {can ? (
                <button
                  title={t('list.sort', { column: column.title })}
                  onClick={() => setSorting(nextSorting(column.id, sorting))}
                >
                  {column.title}
                  {now !== undefined && (now.descending ? <IconArrowDown size={12} /> : <IconArrowUp size={12} />)}
                </button>
              ) : (
                column.title
              )}
            </th>
          )
        })}
        {actions !== undefined && (
          <th className="cell-actions">
            <span className="visually-hidden">{t('list.actions')}</span>
          </th>
        )}
      </tr>
    </thead>
  )
}

const headClass = ({ number, roomy }: Column<never>) => `${number ? 'number ' : ''}${roomy ? 'roomy' : ''}`
const cellClass = ({ id, number, roomy, phone }: Column<never>) =>
  `cell-${id} ${number ? 'number ' : ''}${roomy ? 'roomy ' : ''}phone-${phone ?? 'line'}`

interface RowProps<Row> extends DataTableProps<Row> {
  row: Row
  index: number
  measure: ((element: HTMLTableRowElement | null) => void) | undefined
}

function Row<Row>({ row, index, measure, columns, idOf, nameOf, toneOf, open, ...rest }: RowProps<Row>) {
  const { selected, setSelected, actions } = rest
  const { t } = useTranslation()
  const id = idOf(row)
  const chosen = selected?.has(id) ?? false
  const click = (event: React.MouseEvent) => {
    const inside = event.target instanceof Element && event.target.closest('a, button, input, label, [role=menu]')
    // Marking text to copy it is no click.
    if (!inside && !getSelection()?.toString()) open?.(row)
  }
  return (
    <tr
      ref={measure}
      data-index={index}
      data-id={id}
      tabIndex={-1}
      aria-rowindex={index + 2}
      aria-selected={setSelected === undefined ? undefined : chosen}
      className={`${toneOf === undefined ? '' : `edge-${toneOf(row)} `}${open === undefined ? '' : 'opens'}`}
      onClick={click}
    >
      {setSelected !== undefined && (
        <td className="cell-check">
          <Checkbox
            size="xs"
            aria-label={t('list.select', { name: nameOf(row) })}
            checked={chosen}
            onChange={() => setSelected(toggled(selected ?? new Set(), id))}
          />
        </td>
      )}
      {columns.map((column) => (
        <td key={column.id} className={cellClass(column as Column<never>)}>
          {column.cell(row)}
        </td>
      ))}
      {actions !== undefined && <td className="cell-actions">{actions(row)}</td>}
    </tr>
  )
}
