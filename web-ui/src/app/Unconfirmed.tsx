/** A change that takes itself back unless somebody says in time that it may stay: on every screen, for everybody. */
import { Button } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { answer, api, type Schemas } from '../api/client.ts'
import { latestRevisionsQuery } from '../api/queries.ts'
import { useProblemText } from '../ui/ProblemNote.tsx'
import { Glyph } from '../ui/Status.tsx'
import { showToast } from '../ui/toasts.ts'
import { useReadOnly } from './usePermission.ts'

type Entry = Schemas['RevisionEntry']

export function Unconfirmed() {
  const { data } = useQuery(latestRevisionsQuery)
  const waiting = data?.items.filter(({ confirm_by }) => confirm_by !== null) ?? []
  return waiting.map((entry) => <One key={entry.generation} entry={entry} />)
}

/** The time, each second. */
function useNow(): number {
  const [now, setNow] = useState(() => Date.now())
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [])
  return now
}

function One({ entry: { generation, author, confirm_by } }: { entry: Entry }) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const problemText = useProblemText()
  const readOnly = useReadOnly()
  const left = Math.round((Date.parse(confirm_by ?? '') - useNow()) / 1000)
  const act = useMutation({
    mutationFn: (how: 'confirm' | 'revert') => {
      const params = { path: { generation } }
      return how === 'confirm'
        ? answer(api.POST('/api/v1/revisions/{generation}/confirm', { params }))
        : answer(api.POST('/api/v1/revisions/{generation}/revert', { params })).then(() => {})
    },
    onSuccess: (_, how) => showToast({ tone: 'up', text: t(`unconfirmed.${how}ed`, { n: generation }) }),
    onError: (error) => showToast({ tone: 'down', text: problemText(error) }),
    onSettled: () => queries.invalidateQueries(),
  })
  // The appliance reverts it within a second or so; then it is gone from the list.
  if (left < -5) return null
  return (
    <section className="banner" aria-label={t('unconfirmed.title', { n: generation })}>
      <Glyph tone="degraded" size={16} />
      <span className="grow">
        <b>{t('unconfirmed.title', { n: generation })}</b>{' '}
        <span role="timer">{left > 0 ? t('unconfirmed.left', { author, seconds: left }) : t('unconfirmed.now')}</span>
      </span>
      <Button
        size="compact-sm"
        variant="default"
        disabled={readOnly !== undefined || act.isPending}
        title={readOnly}
        onClick={() => act.mutate('revert')}
      >
        {t('unconfirmed.revert')}
      </Button>
      <Button
        size="compact-sm"
        disabled={readOnly !== undefined || act.isPending}
        title={readOnly}
        onClick={() => act.mutate('confirm')}
      >
        {t('unconfirmed.confirm')}
      </Button>
    </section>
  )
}
