import { Button } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import { ApiProblem } from '../api/problem.ts'
import { said } from '../i18n/index.ts'
import { sentence } from './bidi.ts'
import { Glyph } from './Status.tsx'

/** Codes of which the console has a sentence in every language; of others the server's sentence is shown. */
const KNOWN = [
  'unreachable',
  'unauthenticated',
  'forbidden',
  'stale',
  'too_many_attempts',
  'validation_failed',
  'taken',
  'in_use',
  'already_claimed',
  'plane_unavailable',
  'internal',
  'not_found',
] as const

export function useProblemText() {
  const { t } = useTranslation()
  return (error: Error) => {
    if (!(error instanceof ApiProblem)) return error.message
    const known = KNOWN.find((code) => code === error.code)
    return known === undefined ? sentence(said(error.detail)) : t(`problem.${known}`)
  }
}

/** What went wrong, with what the appliance's log calls it. */
interface Props {
  error: Error
  retry?: () => void
  /** Faults that no field shows. */
  unplaced?: readonly string[]
}

export function ProblemNote({ error, retry, unplaced = [] }: Props) {
  const { t } = useTranslation()
  const text = useProblemText()(error)
  const requestId = error instanceof ApiProblem ? error.requestId : ''
  return (
    <div className="note down" role="alert">
      <Glyph tone="down" />
      <div>
        <p>{text}</p>
        {unplaced.map((line) => (
          <p key={line} className="small">
            {line}
          </p>
        ))}
        {requestId !== '' && <p className="small mono">{t('problem.request', { id: requestId })}</p>}
      </div>
      {retry !== undefined && (
        <Button size="compact-sm" variant="default" onClick={retry}>
          {t('problem.retry')}
        </Button>
      )}
    </div>
  )
}
