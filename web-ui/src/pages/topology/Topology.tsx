/** Everything on one map: address, service, pool, members; with what flows and how it is. The list of services is its table. */
import { Switch, TextInput } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, Link, useNavigate } from '@tanstack/react-router'
import { IconSearch } from '@tabler/icons-react'
import { useWindowVirtualizer } from '@tanstack/react-virtual'
import { useEffect, useMemo, useRef } from 'react'
import { useTranslation } from 'react-i18next'
import { firstOf } from '../../api/queries.ts'
import { policies } from '../../api/resources.ts'
import { portsOf } from '../../services/modes.ts'
import { useServiceRows } from '../../services/useServiceRows.ts'
import { needsAttention } from '../../status/facts.ts'
import { Empty } from '../../ui/Empty.tsx'
import { useTop } from '../../ui/useTop.ts'
import { Legend } from './Legend.tsx'
import { MapLine } from './MapLine.tsx'
import { type Line, linesOf } from './tree.ts'
import { ProblemNote } from '../../ui/ProblemNote.tsx'

const route = getRouteApi('/topology')
const LINE_PX = 64
/** Up to here all lines are in the page. */
const ALL = 60

export function Topology() {
  const { t } = useTranslation()
  const search = route.useSearch()
  const navigate = useNavigate()
  const { q = '', show } = search
  const troubled = show === 'attention'
  const set = (next: typeof search) => void navigate({ to: '/topology', search: next, replace: true })
  const list = useServiceRows({ q })
  const { data: rules } = useQuery(firstOf(policies))
  const lines = useMemo(() => {
    const words = q.trim().toLowerCase()
    const found = list.rows?.filter(({ service, addresses, facts }) => {
      const text = [service.name, ...service.tags, ...addresses.map((one) => `${one}:${portsOf(service)}`)].join(' ')
      return (!troubled || needsAttention(facts)) && (!list.complete || text.toLowerCase().includes(words))
    })
    return found && linesOf(found, rules?.items ?? [])
  }, [list.rows, list.complete, rules, q, troubled])
  return (
    <>
      <div className="page-head">
        <h1>{t('nav.topology')}</h1>
        <Link to="/virtual-services">{t('topology.asTable')}</Link>
      </div>
      <section className="card flush" aria-label={t('nav.topology')}>
        <div className="filters">
          <TextInput
            className="search"
            type="search"
            aria-label={t('list.filterOf', { list: t('nav.topology') })}
            placeholder={t('list.filter')}
            leftSection={<IconSearch size={16} />}
            value={q}
            onChange={(event) => set({ ...search, q: event.currentTarget.value || undefined })}
          />
          <Switch
            size="xs"
            label={t('topology.troubledOnly')}
            checked={troubled}
            onChange={(event) => set({ ...search, show: event.currentTarget.checked ? 'attention' : undefined })}
          />
          <span className="spring" />
          <Legend />
        </div>
        {list.error !== null && (
          <div className="pad">
            <ProblemNote error={list.error} retry={list.retry} />
          </div>
        )}
        {list.rows?.length === 0 && q === '' && <Empty title={t('services.empty')} help={t('services.emptyHelp')} />}
        {lines?.length === 0 && (q !== '' || troubled) && (
          <Empty title={troubled && q === '' ? t('dashboard.allQuiet') : t('list.noMatch')} />
        )}
        {lines !== undefined && lines.length > 0 && <Lines lines={lines} more={list.more} />}
      </section>
    </>
  )
}

function Lines({ lines, more }: { lines: readonly Line[]; more: (() => void) | undefined }) {
  const { t } = useTranslation()
  const box = useRef<HTMLDivElement>(null)
  const top = useTop(box)
  const all = lines.length <= ALL
  const virtual = useWindowVirtualizer({
    count: lines.length,
    estimateSize: () => LINE_PX,
    overscan: 10,
    scrollMargin: top,
    enabled: !all,
  })
  const items = virtual.getVirtualItems()
  const shown = all ? lines.map((_, index) => index) : items.map(({ index }) => index)
  const last = shown.at(-1) ?? 0
  useEffect(() => {
    if (last > lines.length - 20) more?.()
  }, [last, lines.length, more])
  const before = all ? 0 : (items[0]?.start ?? top) - top
  const after = all ? 0 : virtual.getTotalSize() - ((items.at(-1)?.end ?? top) - top)
  return (
    <div className="topology" ref={box}>
      <div className="topology-line topology-head" aria-hidden="true">
        <span>{t('detail.virtualIp')}</span>
        <span />
        <span>{t('detail.service')}</span>
        <span />
        <span>{t('detail.pool')}</span>
        <span />
        <span>{t('detail.members')}</span>
      </div>
      <div style={{ height: before }} />
      {shown.map((index) => {
        const line = lines[index]
        if (line === undefined) return null
        return (
          <div key={line.key} data-index={index} ref={all ? undefined : virtual.measureElement}>
            {/* The first line in the window names its address though it is not the first of it. */}
            <MapLine line={line} named={index === shown[0]} />
          </div>
        )
      })}
      <div style={{ height: after }} />
    </div>
  )
}
