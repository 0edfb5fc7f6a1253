/** Something that an operator does at once, with a message, and for ten seconds a way back. */
import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { useProblemText } from './ProblemNote.tsx'
import { showToast } from './toasts.ts'

export function useAction() {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const problemText = useProblemText()

  const attempt = async <T>(work: () => Promise<T>): Promise<{ done: T } | null> => {
    try {
      return { done: await work() }
    } catch (error) {
      showToast({ tone: 'down', text: problemText(error instanceof Error ? error : new Error(String(error))) })
      return null
    } finally {
      await queries.invalidateQueries()
    }
  }

  /** Does it; `back` gets what it gave. */
  return async <T>(work: () => Promise<T>, text: string, back?: (done: T) => Promise<unknown>): Promise<boolean> => {
    const result = await attempt(work)
    if (result === null) return false
    const undo = async () => {
      const undone = back && (await attempt(() => back(result.done)))
      if (undone) showToast({ tone: 'up', text: t('toast.undone') })
    }
    showToast({ tone: 'up', text, ...(back === undefined ? {} : { undo }) })
    return true
  }
}
