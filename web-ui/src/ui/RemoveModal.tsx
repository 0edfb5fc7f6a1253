/** Deletes a resource, if it is still what is shown. */
import { useQueryClient } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { removeSeen } from '../api/change.ts'
import type { Collection } from '../api/collection.ts'
import { canWait, removal, useTray } from '../pending/useTray.ts'
import { DangerModal } from './DangerModal.tsx'
import { showToast } from './toasts.ts'

interface Props<View> {
  from: Collection<View, never>
  resource: View & { id: string; name: string; generation: number }
  close: () => void
  /** Called when it is gone. */
  done: () => void
  /** Whether its name must be typed. */
  typed?: boolean
  /** What follows from it. */
  children: ReactNode
}

export function RemoveModal<View>({ from, resource, close, done, typed = false, children }: Props<View>) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const { name } = resource
  const act = async () => {
    await removeSeen(from as never, resource)
    showToast({ tone: 'up', text: t('toast.removed', { name }) })
    done()
    await queries.invalidateQueries()
  }
  const collect = useTray()
  const wait = async () => {
    await collect([removal(from, resource.id)])
    done()
  }
  return (
    <DangerModal
      title={t('remove.title', { name })}
      confirm={t('remove.confirm')}
      typed={typed ? name : undefined}
      close={close}
      act={act}
      wait={canWait(from) ? wait : undefined}
    >
      {children}
    </DangerModal>
  )
}
