/** All virtual services: problems first, three facts each, filters in the address. */
import { Button, Skeleton, TextInput } from '@mantine/core'
import { getRouteApi, Outlet, useNavigate } from '@tanstack/react-router'
import { IconPlus, IconSearch } from '@tabler/icons-react'
import { useEffect, useMemo, useRef } from 'react'
import { useTranslation } from 'react-i18next'
import type { ListSearch } from '../../app/router.tsx'
import { type ServiceRow, useServiceRows } from '../../services/useServiceRows.ts'
import { needsAttention } from '../../status/facts.ts'
import { Empty } from '../../ui/Empty.tsx'
import { ProblemNote } from '../../ui/ProblemNote.tsx'
import { Glyph } from '../../ui/Status.tsx'
import { CreateForm } from './CreateForm.tsx'
import { ServiceTable } from './ServiceTable.tsx'

const route = getRouteApi('/virtual-services')

function fits({ service, addresses }: ServiceRow, words: string): boolean {
  const text = [service.name, ...addresses.map((address) => `${address}:${service.port}`), ...service.tags]
  return text.join(' ').toLowerCase().includes(words.trim().toLowerCase())
}

export function ServiceList() {
  const { t } = useTranslation()
  const { q = '', show, create } = route.useSearch()
  const navigate = useNavigate()
  const { rows, error, retry } = useServiceRows()
  const troubled = useMemo(() => rows?.filter(({ facts }) => needsAttention(facts)), [rows])
  const shown = useMemo(
    () => (show === 'attention' ? troubled : rows)?.filter((row) => fits(row, q)),
    [show, troubled, rows, q],
  )
  const set = (change: Partial<ListSearch>) =>
    void navigate({ to: '/virtual-services', search: { q, show, ...change }, replace: true })

  return (
    <>
      <div className="page-head">
        <h1>{t('services.title')}</h1>
        <Button leftSection={<IconPlus size={16} />} onClick={() => set({ create: true })}>
          {t('services.create')}
        </Button>
      </div>
      <section className="card flush" aria-label={t('services.title')}>
        <div className="filters">
          <Search value={q} onChange={(q) => set({ q })} />
          <button className="pill" aria-pressed={show === undefined} onClick={() => set({ show: undefined })}>
            {t('services.all')} <b>{rows?.length ?? ''}</b>
          </button>
          <button className="pill" aria-pressed={show === 'attention'} onClick={() => set({ show: 'attention' })}>
            <Glyph tone="down" size={12} /> {t('services.attention')} <b>{troubled?.length ?? ''}</b>
          </button>
          <span className="spring" />
          {rows !== undefined && (
            <span className="dim only-wide">
              {t('services.shown', { shown: shown?.length ?? 0, all: rows.length })}
            </span>
          )}
        </div>
        {error !== null && <ProblemNote error={error} retry={retry} />}
        <Body
          rows={rows}
          shown={shown}
          clear={() => set({ q: undefined, show: undefined })}
          add={() => set({ create: true })}
        />
      </section>
      {create === true && (
        <CreateForm
          close={() => set({ create: undefined })}
          created={(serviceId) => void navigate({ to: '/virtual-services/$serviceId', params: { serviceId } })}
        />
      )}
      <Outlet />
    </>
  )
}

interface BodyProps {
  rows: readonly ServiceRow[] | undefined
  shown: ServiceRow[] | undefined
  clear: () => void
  add: () => void
}

function Body({ rows, shown, clear, add }: BodyProps) {
  const { t } = useTranslation()
  if (rows === undefined || shown === undefined) return <Skeleton className="late" height={108} radius={0} />
  if (rows.length === 0) {
    return (
      <Empty title={t('services.empty')} help={t('services.emptyHelp')}>
        <Button leftSection={<IconPlus size={16} />} onClick={add}>
          {t('services.create')}
        </Button>
      </Empty>
    )
  }
  if (shown.length === 0) {
    return (
      <Empty title={t('services.noMatch')}>
        <Button variant="default" onClick={clear}>
          {t('services.clear')}
        </Button>
      </Empty>
    )
  }
  return <ServiceTable rows={shown} />
}

function Search({ value, onChange }: { value: string; onChange: (value: string) => void }) {
  const { t } = useTranslation()
  const input = useRef<HTMLInputElement>(null)
  useEffect(() => {
    const jump = (event: KeyboardEvent) => {
      const typing = event.target instanceof HTMLElement && event.target.closest('input, textarea, [role=dialog]')
      if (event.key !== '/' || typing) return
      event.preventDefault()
      input.current?.focus()
    }
    document.addEventListener('keydown', jump)
    return () => document.removeEventListener('keydown', jump)
  }, [])
  return (
    <TextInput
      ref={input}
      className="search"
      type="search"
      aria-label={t('services.filter')}
      placeholder={t('services.filter')}
      leftSection={<IconSearch size={16} />}
      rightSection={<kbd>/</kbd>}
      value={value}
      onChange={(event) => onChange(event.currentTarget.value)}
    />
  )
}
