/** The table of the list. On a phone its rows are cards. */
import { Link, useNavigate } from '@tanstack/react-router'
import {
  createColumnHelper,
  createSortedRowModel,
  rowSortingFeature,
  sortFn_alphanumeric,
  sortFn_basic,
  tableFeatures,
  useTable,
} from '@tanstack/react-table'
import { IconArrowDown, IconArrowUp } from '@tabler/icons-react'
import { useTranslation } from 'react-i18next'
import { bits, useRecent } from '../../live/traffic.ts'
import type { ServiceRow } from '../../services/useServiceRows.ts'
import { severity, takesConnections } from '../../status/facts.ts'
import { bitRate, count } from '../../ui/format.ts'
import { MemberBar } from '../../ui/MemberBar.tsx'
import { Sparkline } from '../../ui/Sparkline.tsx'
import { AdminStatus, HealthStatus, healthTone, SyncStatus } from '../../ui/Status.tsx'

const TREND_S = 300

const features = tableFeatures({
  rowSortingFeature,
  sortedRowModel: createSortedRowModel(),
  sortFns: { alphanumeric: sortFn_alphanumeric, basic: sortFn_basic },
})
const helper = createColumnHelper<typeof features, ServiceRow>()

// Live values are no columns of the table: rows would jump every second.
const columns = helper.columns([
  helper.accessor(({ facts }) => severity(facts), { id: 'health', sortFn: 'basic' }),
  helper.accessor(({ facts }) => facts.admin, { id: 'admin', sortFn: 'alphanumeric' }),
  helper.accessor(({ facts }) => facts.sync, { id: 'sync', sortFn: 'alphanumeric' }),
  helper.accessor(({ service }) => service.name, { id: 'name', sortFn: 'alphanumeric' }),
  helper.accessor(({ addresses }) => addresses.join(' '), { id: 'address', sortFn: 'alphanumeric' }),
  helper.accessor(({ members }) => members?.filter(takesConnections).length ?? 0, { id: 'members', sortFn: 'basic' }),
])

type ColumnId = 'health' | 'admin' | 'sync' | 'name' | 'address' | 'members'

export function ServiceTable({ rows }: { rows: ServiceRow[] }) {
  const { t } = useTranslation()
  const table = useTable({
    features,
    columns,
    data: rows,
    getRowId: ({ service }) => service.id,
    initialState: { sorting: [{ id: 'health', desc: false }] },
  })
  const titles: Record<ColumnId, string> = {
    health: t('health.label'),
    admin: t('admin.label'),
    sync: t('sync.label'),
    name: t('services.name'),
    address: t('services.address'),
    members: t('services.members'),
  }
  const heading = (id: ColumnId) => {
    const column = table.getColumn(id)
    const sorted = column?.getIsSorted() ?? false
    const order = sorted === 'asc' ? 'ascending' : sorted === 'desc' ? 'descending' : 'none'
    return (
      <th aria-sort={order} className={`col-${id}`}>
        <button title={t('services.sort', { column: titles[id] })} onClick={() => column?.toggleSorting()}>
          {titles[id]}
          {sorted === 'asc' && <IconArrowUp size={12} />}
          {sorted === 'desc' && <IconArrowDown size={12} />}
        </button>
      </th>
    )
  }
  return (
    <table className="table services">
      <thead>
        <tr>
          {heading('health')}
          {heading('admin')}
          {heading('sync')}
          {heading('name')}
          {heading('address')}
          <th>{t('services.mode')}</th>
          {heading('members')}
          <th className="number">{t('services.connections')}</th>
          <th className="number">{t('services.throughput')}</th>
          <th>{t('services.trend')}</th>
        </tr>
      </thead>
      <tbody>
        {table.getRowModel().rows.map((row) => (
          <Row key={row.id} row={row.original} />
        ))}
      </tbody>
    </table>
  )
}

function Row({ row: { service, addresses, members, facts } }: { row: ServiceRow }) {
  const navigate = useNavigate()
  const samples = useRecent(TREND_S)
  const now = samples.at(-1)?.services.get(service.id)
  const open = () => void navigate({ to: '/virtual-services/$serviceId', params: { serviceId: service.id } })
  return (
    <tr className={`edge-${healthTone(facts.health)}`} onClick={open}>
      <td className="cell-health">
        <HealthStatus facts={facts} />
      </td>
      <td className="cell-admin">
        <AdminStatus admin={facts.admin} />
      </td>
      <td className="cell-sync">
        <SyncStatus sync={facts.sync} reason={service.status_reason} />
      </td>
      <td className="cell-name">
        <Link
          to="/virtual-services/$serviceId"
          params={{ serviceId: service.id }}
          onClick={(event) => event.stopPropagation()}
        >
          {service.name}
        </Link>
      </td>
      <td className="cell-address mono">
        {addresses.join(', ')}
        <span className="dim">:{service.port}</span>
      </td>
      <td className="cell-mode">
        <span className="tag">L4</span> NAT
      </td>
      <td className="cell-members">
        <MemberBar members={members} />
      </td>
      <td className="cell-connections number">{count(now?.connections ?? 0)}</td>
      <td className="cell-throughput number">{bitRate(bits(now))}</td>
      <td className="cell-trend">
        <Sparkline values={samples.map((one) => bits(one.services.get(service.id)))} />
      </td>
    </tr>
  )
}
