/** A form over the screen. What was typed is not thrown away by a slip. */
import { Button, Modal } from '@mantine/core'
import { type ReactNode, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { useFocusBack } from '../useFocusBack.ts'

interface Props {
  title: string
  close: () => void
  size?: number
  /** Given what closes it at once, what asks first, and what is told of something to lose. */
  children: (form: { done: () => void; cancel: () => void; setDirty: (dirty: boolean) => void }) => ReactNode
}

export function FormModal({ title, close, size = 620, children }: Props) {
  const { t } = useTranslation()
  useFocusBack()
  const [dirty, setDirty] = useState(false)
  const [leaving, setLeaving] = useState(false)
  const cancel = () => (dirty ? setLeaving(true) : close())
  return (
    <Modal
      opened
      onClose={cancel}
      title={title}
      size={size}
      closeButtonProps={{ 'aria-label': t('common.close') }}
      closeOnClickOutside={!dirty}
    >
      {children({ done: close, cancel, setDirty })}
      <Modal
        opened={leaving}
        onClose={() => setLeaving(false)}
        title={t('form.leaveTitle')}
        closeButtonProps={{ 'aria-label': t('common.close') }}
      >
        <p>{t('form.leaveText')}</p>
        <div className="form-end">
          <Button variant="default" data-autofocus onClick={() => setLeaving(false)}>
            {t('form.stay')}
          </Button>
          <Button className="danger-fill" onClick={close}>
            {t('form.leave')}
          </Button>
        </div>
      </Modal>
    </Modal>
  )
}
