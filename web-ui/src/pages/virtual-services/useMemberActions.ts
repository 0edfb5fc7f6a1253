/** What an operator does with a member while traffic flows: at once, and for ten seconds it can be undone. */
import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { answer, api, type Member, type MemberState, WHATEVER_VERSION } from '../../api/client.ts'
import { keys } from '../../api/queries.ts'
import { useProblemText } from '../../ui/ProblemNote.tsx'
import { showToast } from '../../ui/toasts.ts'

type Switched = Pick<Member, 'state' | 'enabled'>

export function useMemberActions(poolId: string) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const problemText = useProblemText()

  const attempt = async (work: () => Promise<unknown>): Promise<boolean> => {
    try {
      await work()
      return true
    } catch (error) {
      showToast({ tone: 'down', text: problemText(error instanceof Error ? error : new Error(String(error))) })
      return false
    } finally {
      await Promise.all([keys.members, keys.services].map((queryKey) => queries.invalidateQueries({ queryKey })))
    }
  }
  const undo = async (work: () => Promise<unknown>) => {
    if (await attempt(work)) showToast({ tone: 'up', text: t('toast.undone') })
  }
  const write = (id: string, body: Switched) => {
    const params = { path: { pool_id: poolId, id }, header: WHATEVER_VERSION }
    return answer(api.PATCH('/api/v1/pools/{pool_id}/members/{id}', { params, body }))
  }

  return {
    async switchTo(member: Member, state: MemberState) {
      const { id, name, enabled, state: before } = member
      if (!(await attempt(() => write(id, { state, enabled: true })))) return
      const text = t(`toast.${state}`, { name })
      showToast({ tone: 'up', text, undo: () => undo(() => write(id, { state: before, enabled })) })
    },
    async remove(member: Member) {
      const { id, name, description, tags, enabled, address, port, state } = member
      const path = { pool_id: poolId }
      const params = { path: { ...path, id }, header: WHATEVER_VERSION }
      if (!(await attempt(() => answer(api.DELETE('/api/v1/pools/{pool_id}/members/{id}', { params }))))) return
      const body = { name, description, tags, enabled, address, port, state }
      const again = () => answer(api.POST('/api/v1/pools/{pool_id}/members', { params: { path }, body }))
      showToast({ tone: 'up', text: t('toast.removed', { name }), undo: () => undo(again) })
    },
  }
}
