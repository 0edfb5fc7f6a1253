/** Asks before something goes for good. What much depends on is asked for by its name. */
import { Button, Modal, TextInput } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { type ReactNode, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { ProblemNote } from './ProblemNote.tsx'
import { useFocusBack } from './useFocusBack.ts'

interface Props {
  title: string
  confirm: string
  act: () => Promise<unknown>
  /** Does it later, together with other changes. */
  wait?: (() => Promise<unknown>) | undefined
  close: () => void
  /** Must be typed, if given. */
  typed?: string | undefined
  children: ReactNode
}

export function DangerModal({ title, confirm, act, wait, close, typed, children }: Props) {
  const { t } = useTranslation()
  useFocusBack()
  const [text, setText] = useState('')
  const acting = useMutation({ mutationFn: (how: () => Promise<unknown>) => how(), onSuccess: close })
  return (
    <Modal opened onClose={close} title={title} closeButtonProps={{ 'aria-label': t('common.close') }}>
      <div className="fields">
        {acting.error !== null && <ProblemNote error={acting.error} />}
        <div>{children}</div>
        {typed !== undefined && (
          <TextInput
            label={t('remove.type', { name: typed })}
            value={text}
            autoComplete="off"
            onChange={(event) => setText(event.currentTarget.value)}
          />
        )}
        <div className="form-end">
          <Button variant="default" data-autofocus={typed === undefined || undefined} onClick={close}>
            {t('common.cancel')}
          </Button>
          {wait !== undefined && (
            <Button variant="default" disabled={acting.isPending} onClick={() => acting.mutate(wait)}>
              {t('pending.add')}
            </Button>
          )}
          <Button
            className="danger-fill"
            loading={acting.isPending}
            disabled={typed !== undefined && text !== typed}
            onClick={() => acting.mutate(act)}
          >
            {confirm}
          </Button>
        </div>
      </div>
    </Modal>
  )
}
