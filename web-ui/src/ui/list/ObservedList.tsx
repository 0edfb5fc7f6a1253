/** A list of what a plane sees now, which can be held still for who wants to read. */
import { Button } from '@mantine/core'
import { IconPlayerPause, IconPlayerPlay } from '@tabler/icons-react'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import type { Observed } from '../../api/useObserved.ts'
import { Empty } from '../Empty.tsx'
import { ProblemNote } from '../ProblemNote.tsx'
import { DataTable, type DataTableProps } from './DataTable.tsx'

interface Props<Row> extends Omit<DataTableProps<Row>, 'rows' | 'more'> {
  seen: Observed<Row>
  filters: ReactNode
  filtered: boolean
  shown: (n: number) => string
  empty: string
  emptyHelp: string
  frozen: boolean
  setFrozen: (frozen: boolean) => void
}

export function ObservedList<Row>(props: Props<Row>) {
  const { seen, filters, filtered, shown, empty, emptyHelp, frozen, setFrozen, ...table } = props
  const { t } = useTranslation()
  const { rows, error, retry, isMore, more } = seen
  return (
    <section className="card flush" aria-label={table.label}>
      {filters}
      <div className="filters">
        <span className="dim grow">
          {rows !== undefined && shown(rows.length)}
          {isMore && ` ${t('observed.more')}`}
        </span>
        <Button
          size="compact-sm"
          variant="default"
          aria-pressed={frozen}
          leftSection={frozen ? <IconPlayerPlay size={14} /> : <IconPlayerPause size={14} />}
          onClick={() => setFrozen(!frozen)}
        >
          {t(frozen ? 'observed.goOn' : 'observed.freeze')}
        </Button>
      </div>
      {error !== null && (
        <div className="pad">
          <ProblemNote error={error} retry={retry} />
        </div>
      )}
      {rows?.length === 0 && (
        <Empty title={filtered ? t('list.noMatch') : empty} {...(filtered ? {} : { help: emptyHelp })} />
      )}
      {rows !== undefined && rows.length > 0 && (
        <div className="scroll-x">
          <DataTable {...table} rows={rows} more={more} />
        </div>
      )}
    </section>
  )
}
