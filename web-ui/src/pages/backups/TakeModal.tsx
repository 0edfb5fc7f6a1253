/** Takes a backup. Its passphrase is asked for twice: nobody can open it without. */
import { Button, Modal, PasswordInput, TextInput } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { answer, api } from '../../api/client.ts'
import { ProblemNote } from '../../ui/ProblemNote.tsx'
import { showToast } from '../../ui/toasts.ts'
import { useFocusBack } from '../../ui/useFocusBack.ts'

/** As the API wants it. */
const LEAST = 12

export function TakeModal({ close, done }: { close: () => void; done: () => void }) {
  const { t } = useTranslation()
  useFocusBack()
  const [passphrase, setPassphrase] = useState('')
  const [again, setAgain] = useState('')
  const [comment, setComment] = useState('')
  const taking = useMutation({
    mutationFn: () =>
      answer(
        api.POST('/api/v1/backups', {
          params: { query: comment === '' ? {} : { comment } },
          body: { passphrase },
        }),
      ),
    onSuccess: () => {
      showToast({ tone: 'up', text: t('backups.taken') })
      done()
    },
  })
  const differs = again !== '' && again !== passphrase
  const secret = (label: string, help: string | undefined, value: string, set: (next: string) => void) => (
    <PasswordInput
      label={label}
      {...(help !== undefined && { description: help })}
      autoComplete="new-password"
      visibilityToggleButtonProps={{ 'aria-label': t('signIn.show') }}
      value={value}
      onChange={(event) => set(event.currentTarget.value)}
    />
  )
  return (
    <Modal opened onClose={close} title={t('backups.take')} closeButtonProps={{ 'aria-label': t('common.close') }}>
      <form
        className="fields"
        onSubmit={(event) => {
          event.preventDefault()
          taking.mutate()
        }}
      >
        {taking.error !== null && <ProblemNote error={taking.error} />}
        <p>{t('backups.takeHelp')}</p>
        {secret(t('backups.passphrase'), t('backups.passphraseHelp', { count: LEAST }), passphrase, setPassphrase)}
        {secret(t('backups.again'), undefined, again, setAgain)}
        {differs && <p className="field-error">{t('backups.differs')}</p>}
        <TextInput
          label={t('pending.comment')}
          value={comment}
          onChange={(event) => setComment(event.currentTarget.value)}
        />
        <div className="form-end">
          <Button variant="default" onClick={close}>
            {t('common.cancel')}
          </Button>
          <Button
            type="submit"
            loading={taking.isPending}
            disabled={[...passphrase].length < LEAST || again !== passphrase}
          >
            {t('backups.take')}
          </Button>
        </div>
      </form>
    </Modal>
  )
}
