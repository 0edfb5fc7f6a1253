/** Asks who is signed in for the password once more, before something that a session alone must not do. */
import { Button, Modal, PasswordInput } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { ProblemNote } from '../../ui/ProblemNote.tsx'

interface Props {
  title: string
  text: string
  /** On the button. */
  label: string
  submit: (password: string) => Promise<unknown>
  close: () => void
}

export function PasswordModal({ title, text, label, submit, close }: Props) {
  const { t } = useTranslation()
  const [password, setPassword] = useState('')
  const sending = useMutation({ mutationFn: submit })
  return (
    <Modal opened onClose={close} title={title} closeButtonProps={{ 'aria-label': t('common.close') }}>
      <form
        className="fields"
        onSubmit={(event) => {
          event.preventDefault()
          sending.mutate(password)
        }}
      >
        {sending.error !== null && <ProblemNote error={sending.error} />}
        <p>{text}</p>
        <PasswordInput
          label={t('profile.now')}
          autoComplete="current-password"
          data-autofocus
          visibilityToggleButtonProps={{ 'aria-label': t('signIn.show') }}
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
        />
        <div className="form-end">
          <Button variant="default" onClick={close}>
            {t('common.cancel')}
          </Button>
          <Button type="submit" loading={sending.isPending} disabled={password === ''}>
            {label}
          </Button>
        </div>
      </form>
    </Modal>
  )
}
