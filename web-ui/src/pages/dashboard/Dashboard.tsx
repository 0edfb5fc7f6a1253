/** How it goes, on one screen: numbers, traffic, what needs somebody, who carries how much. */
import { Button, SegmentedControl } from '@mantine/core'
import { useNavigate } from '@tanstack/react-router'
import { IconPlus } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useSummed } from '../../live/history.ts'
import { RANGES, useRangeWord } from '../../live/ranges.ts'
import { useServiceRows } from '../../services/useServiceRows.ts'
import { Card } from '../../ui/Card.tsx'
import { Empty } from '../../ui/Empty.tsx'
import { bitRate } from '../../ui/format.ts'
import { Legend } from '../../ui/Legend.tsx'
import { ProblemNote } from '../../ui/ProblemNote.tsx'
import { TimeChart } from '../../ui/TimeChart.tsx'
import { AttentionList } from './AttentionList.tsx'
import { Busiest } from './Busiest.tsx'
import { Figures } from './Figures.tsx'
import { MemberShares } from './MemberShares.tsx'
import { PlaneCard } from './PlaneCard.tsx'

/** Minutes that this page sees itself; further back the appliance remembers. */
const SEEN = 5

const COLUMNS = [
  { metric: 'bytes_in', times: 8 },
  { metric: 'bytes_out', times: 8 },
]

export function Dashboard() {
  const { t } = useTranslation()
  const [minutes, setMinutes] = useState(SEEN)
  const word = useRangeWord()
  const navigate = useNavigate()
  const { rows, error, retry } = useServiceRows()
  const add = () => void navigate({ to: '/start' })
  return (
    <>
      <div className="page-head">
        <h1>{t('dashboard.title')}</h1>
        <SegmentedControl
          size="xs"
          aria-label={t('dashboard.range')}
          value={String(minutes)}
          onChange={(value) => setMinutes(Number(value))}
          data={[SEEN, ...RANGES].map((n) => ({ value: String(n), label: word(n) }))}
        />
      </div>
      {error !== null && <ProblemNote error={error} retry={retry} />}
      <div className="dashboard">
        <Figures rows={rows} seconds={Math.min(minutes, 15) * 60} />
        <TrafficCard seconds={minutes * 60} />
        <AttentionList rows={rows} />
        {rows?.length === 0 ? (
          <section className="card span-all">
            <Empty title={t('dashboard.firstSteps')} help={t('dashboard.firstStepsHelp')}>
              <Button leftSection={<IconPlus size={16} />} onClick={add}>
                {t('services.create')}
              </Button>
            </Empty>
          </section>
        ) : (
          <>
            <Busiest rows={rows} />
            <MemberShares rows={rows} />
          </>
        )}
        <PlaneCard />
      </div>
    </>
  )
}

function TrafficCard({ seconds }: { seconds: number }) {
  const { t } = useTranslation()
  const shown = useSummed({ resource: 'all-virtual-services', metrics: ['bytes_in', 'bytes_out'], seconds }, COLUMNS)
  const labels: [string, string] = [t('dashboard.inbound'), t('dashboard.outbound')]
  return (
    <Card title={t('dashboard.traffic')} aside={<Legend labels={labels} />} className="span-main">
      <TimeChart series={shown} labels={labels} span={seconds} format={bitRate} />
    </Card>
  )
}
