/** Says when the appliance does not answer, and how old is what stands below. */
import { Button } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { isProblem } from '../api/problem.ts'
import { statusQuery } from '../api/queries.ts'
import { time } from '../ui/format.ts'
import { Glyph } from '../ui/Status.tsx'

export function Connection({ streaming }: { streaming: boolean }) {
  const { t, i18n } = useTranslation()
  const { failureReason, dataUpdatedAt, isPending, refetch } = useQuery(statusQuery)
  const lost = failureReason !== null && !isProblem(failureReason, 'unauthenticated')
  if (isPending) return null
  if (!lost) {
    if (streaming) return null
    return (
      <p className="banner late" role="status">
        <Glyph tone="degraded" size={16} /> {t('problem.streamLost')}
      </p>
    )
  }
  return (
    <div className="banner" role="alert">
      <Glyph tone="degraded" size={16} />
      <span className="grow">
        <b>{t('problem.unreachable')}</b> {t('problem.asOf', { time: time(dataUpdatedAt, i18n.language) })}
      </span>
      <Button size="compact-sm" variant="default" onClick={() => void refetch()}>
        {t('problem.retry')}
      </Button>
    </div>
  )
}
