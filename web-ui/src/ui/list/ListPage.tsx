/** The screen of a list: title, search, filters, rows; the same for every resource. */
import { ActionIcon, Button, Skeleton, TextInput } from '@mantine/core'
import { IconDownload, IconPlus, IconSearch, IconX } from '@tabler/icons-react'
import { type ReactNode, useMemo, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Listed } from '../../api/useList.ts'
import { download } from '../download.ts'
import { Empty } from '../Empty.tsx'
import { useKeys } from '../keys.ts'
import { ProblemNote } from '../ProblemNote.tsx'
import { Glyph, type Tone } from '../Status.tsx'
import { type Column, compare, csv, parseSorting, sorted, sortingText } from './columns.ts'
import { DataTable } from './DataTable.tsx'
import type { ListSearch } from './search.ts'

/** A filter that one click sets, with how many rows it keeps. */
export interface Pill<Row> {
  id: string
  label: string
  tone: Tone
  keeps: (row: Row) => boolean
}

export interface ListPageProps<Row> {
  title: string
  /** What this is for, to who sees none of it. */
  empty: { title: string; help: string }
  list: Omit<Listed<Row>, 'at'>
  search: ListSearch
  setSearch: (change: ListSearch) => void
  columns: readonly Column<Row>[]
  idOf: (row: Row) => string
  nameOf: (row: Row) => string
  /** What the search looks at. */
  textOf: (row: Row) => string
  toneOf?: (row: Row) => Tone
  /** The order where nobody chose one; worst first, say. */
  order?: (row: Row) => number
  open?: (row: Row) => void
  pills?: readonly Pill<Row>[]
  create?: { label: string; open: () => void; reason?: string | undefined }
  actions?: ((row: Row) => ReactNode) | undefined
  /** Buttons for the rows that are selected. */
  bulk?: ((rows: readonly Row[], done: () => void) => ReactNode) | undefined
  aside?: ReactNode
}

export function ListPage<Row>(props: ListPageProps<Row>) {
  const {
    title,
    list,
    search,
    setSearch,
    columns,
    idOf,
    nameOf,
    textOf,
    order,
    pills = [],
    create,
    bulk,
    aside,
  } = props
  const { t } = useTranslation()
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set())
  const { rows, complete } = list
  const { q = '', show } = search
  const sorting = useMemo(() => parseSorting(search.sort), [search.sort])
  const pill = pills.find(({ id }) => id === show)

  const shown = useMemo(() => {
    const words = q.trim().toLowerCase()
    const found = rows?.filter((row) => {
      return !complete || ((pill?.keeps(row) ?? true) && (words === '' || textOf(row).toLowerCase().includes(words)))
    })
    if (found === undefined || !complete) return found
    if (sorting !== undefined) return sorted(found, columns, sorting)
    return order === undefined ? found : found.sort((a, b) => order(a) - order(b) || compare(nameOf(a), nameOf(b)))
  }, [rows, complete, q, pill, textOf, sorting, columns, order, nameOf])
  const [inside, setInside] = useState(false)
  const steady = useSteadyOrder(shown, idOf, `${q} ${show} ${search.sort}`, inside)
  const marked = useMemo(() => steady?.filter((row) => selected.has(idOf(row))) ?? [], [steady, selected, idOf])

  useKeys({ n: () => (create === undefined || create.reason !== undefined ? false : create.open()) })
  return (
    <>
      <div className="page-head">
        <h1>{title}</h1>
        {aside}
        {create !== undefined && <CreateButton {...create} />}
      </div>
      <section className="card flush" aria-label={title}>
        <div className="filters">
          <Search value={q} onChange={(q) => setSearch({ ...search, q: q === '' ? undefined : q })} label={title} />
          {pills.length > 0 && complete && (
            <Pills pills={pills} rows={rows} show={show} choose={(show) => setSearch({ ...search, show })} />
          )}
          <span className="spring" />
          {rows !== undefined && complete && rows.length > 0 && (
            <span className="dim only-wide">{t('list.shown', { shown: shown?.length ?? 0, all: rows.length })}</span>
          )}
          <ActionIcon
            className="only-wide"
            variant="default"
            size={30}
            aria-label={t('list.export')}
            title={t('list.export')}
            disabled={(shown?.length ?? 0) === 0}
            // A byte order mark: without it spreadsheets take Chinese for something else.
            onClick={() => download(`${title}.csv`, `\uFEFF${csv(steady ?? [], columns)}`, 'text/csv;charset=utf-8')}
          >
            <IconDownload size={16} />
          </ActionIcon>
        </div>
        {marked.length > 0 && bulk !== undefined && (
          <div className="bulk" role="toolbar" aria-label={t('list.bulk')}>
            <b>{t('list.selected', { count: marked.length })}</b>
            {bulk(marked, () => setSelected(new Set()))}
            <span className="spring" />
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label={t('list.unselect')}
              title={t('list.unselect')}
              onClick={() => setSelected(new Set())}
            >
              <IconX size={16} />
            </ActionIcon>
          </div>
        )}
        {list.error !== null && (
          <div className="pad">
            <ProblemNote error={list.error} retry={list.retry} />
          </div>
        )}
        <div
          className="scroll-x"
          onPointerEnter={() => setInside(true)}
          onPointerLeave={() => setInside(false)}
          onFocus={() => setInside(true)}
          onBlur={() => setInside(false)}
        >
          <Body
            {...props}
            rows={rows}
            shown={steady}
            sorting={sorting}
            selected={bulk === undefined ? undefined : selected}
            setSelected={bulk === undefined ? undefined : setSelected}
          />
        </div>
      </section>
    </>
  )
}

/** Rows keep their places while somebody has the pointer or the focus among them: nobody wants to hit another one. */
function useSteadyOrder<Row>(
  rows: Row[] | undefined,
  idOf: (row: Row) => string,
  asked: string,
  inside: boolean,
): Row[] | undefined {
  const [kept, setKept] = useState<{ asked: string; order: string[] }>({ asked, order: [] })
  const ids = useMemo(() => rows?.map(idOf) ?? [], [rows, idOf])
  const known = useMemo(() => new Set(kept.order), [kept.order])
  const same = kept.asked === asked && known.size === ids.length && ids.every((id) => known.has(id))
  const steady = inside && same
  if (!steady && rows !== undefined && (kept.asked !== asked || kept.order.join() !== ids.join())) {
    setKept({ asked, order: ids })
  }
  return useMemo(() => {
    if (!steady || rows === undefined) return rows
    const byId = new Map(rows.map((row) => [idOf(row), row]))
    return kept.order.flatMap((id) => byId.get(id) ?? [])
  }, [steady, rows, idOf, kept.order])
}

function CreateButton({ label, open, reason }: { label: string; open: () => void; reason?: string | undefined }) {
  return (
    <Button leftSection={<IconPlus size={16} />} onClick={open} disabled={reason !== undefined} title={reason}>
      {label}
    </Button>
  )
}

interface BodyProps<Row> extends Omit<ListPageProps<Row>, 'list'> {
  list: Omit<Listed<Row>, 'at'>
  rows: Row[] | undefined
  shown: Row[] | undefined
  sorting: ReturnType<typeof parseSorting>
  selected: ReadonlySet<string> | undefined
  setSelected: ((selected: ReadonlySet<string>) => void) | undefined
}

function Body<Row>({ list, rows, shown, sorting, selected, setSelected, ...props }: BodyProps<Row>) {
  const { t } = useTranslation()
  const { title, empty, create, search, setSearch, columns } = props
  if (rows === undefined || shown === undefined) {
    return list.error === null ? <Skeleton className="late" height={111} radius={0} /> : null
  }
  const filtered = Boolean(search.q) || search.show !== undefined
  if (rows.length === 0 && !filtered) {
    return (
      <Empty title={empty.title} help={empty.help}>
        {create !== undefined && <CreateButton {...create} />}
      </Empty>
    )
  }
  if (shown.length === 0) {
    return (
      <Empty title={t('list.noMatch')}>
        <Button variant="default" onClick={() => setSearch({ sort: search.sort })}>
          {t('list.clear')}
        </Button>
      </Empty>
    )
  }
  return (
    <DataTable
      label={title}
      rows={shown}
      columns={columns}
      idOf={props.idOf}
      nameOf={props.nameOf}
      toneOf={props.toneOf}
      open={props.open}
      sorting={sorting}
      setSorting={(sorting) => setSearch({ ...search, sort: sorting && sortingText(sorting) })}
      sortable={(column) => (list.complete ? column.value !== undefined : column.sort !== undefined)}
      selected={selected}
      setSelected={setSelected}
      actions={props.actions}
      more={list.more}
    />
  )
}

interface PillsProps<Row> {
  pills: readonly Pill<Row>[]
  rows: readonly Row[] | undefined
  show: string | undefined
  choose: (show: string | undefined) => void
}

function Pills<Row>({ pills, rows, show, choose }: PillsProps<Row>) {
  const { t } = useTranslation()
  return (
    <div className="pills">
      <button className="pill" aria-pressed={show === undefined} onClick={() => choose(undefined)}>
        {t('list.all')} <b>{rows?.length}</b>
      </button>
      {pills.map(({ id, label, tone, keeps }) => {
        const count = rows?.filter(keeps).length
        // One that keeps nothing would only take room, unless it is what is set.
        if (count === 0 && show !== id) return null
        return (
          <button
            key={id}
            className="pill"
            aria-pressed={show === id}
            onClick={() => choose(show === id ? undefined : id)}
          >
            <Glyph tone={tone} size={12} /> {label} <b>{count}</b>
          </button>
        )
      })}
    </div>
  )
}

/** What is typed stands there at once; `value` comes by way of the address, which is later than the next key. */
export function Search({
  value,
  onChange,
  label,
}: {
  value: string
  onChange: (value: string) => void
  label: string
}) {
  const { t } = useTranslation()
  const input = useRef<HTMLInputElement>(null)
  const [typed, setTyped] = useState<string | null>(null)
  useKeys({ '/': () => input.current?.focus() })
  return (
    <TextInput
      ref={input}
      className="search"
      type="search"
      aria-label={t('list.filterOf', { list: label })}
      placeholder={t('list.filter')}
      leftSection={<IconSearch size={16} />}
      rightSection={<kbd className="only-wide">/</kbd>}
      value={typed ?? value}
      onChange={(event) => {
        setTyped(event.currentTarget.value)
        onChange(event.currentTarget.value)
      }}
      onBlur={() => setTyped(null)}
      onKeyDown={(event) => {
        if (event.key !== 'Escape') return
        // A browser would empty the field; back to the rows is meant.
        event.preventDefault()
        event.currentTarget.blur()
      }}
    />
  )
}
