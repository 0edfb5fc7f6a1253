/** Makes the configuration what it was in a backup: first only what that would change. */
import { Button, Modal, PasswordInput } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { type Applied, answer, api, type Schemas } from '../../api/client.ts'
import { ApplyPanel, type Manner } from '../../pending/ApplyPanel.tsx'
import { dateTime } from '../../ui/format.ts'
import { ProblemNote } from '../../ui/ProblemNote.tsx'
import { useFocusBack } from '../../ui/useFocusBack.ts'

interface Props {
  backup: Schemas['Backup']
  close: () => void
}

async function restore(id: string, passphrase: string, query: Manner & { dry_run?: boolean }): Promise<Applied> {
  const asking = api.POST('/api/v1/backups/{id}/restore', { params: { path: { id }, query }, body: { passphrase } })
  return (await answer(asking)) as Applied
}

export function RestoreModal({ backup: { id, created_at, generation }, close }: Props) {
  const { t, i18n } = useTranslation()
  useFocusBack()
  const [passphrase, setPassphrase] = useState('')
  const trying = useMutation({ mutationFn: () => restore(id, passphrase, { dry_run: true }) })
  return (
    <Modal
      opened
      size="lg"
      onClose={close}
      title={t('backups.restoreTitle', { at: dateTime(created_at, i18n.language), n: generation })}
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      {trying.data === undefined ? (
        <form
          className="fields"
          onSubmit={(event) => {
            event.preventDefault()
            trying.mutate()
          }}
        >
          {trying.error !== null && <ProblemNote error={trying.error} />}
          <p>{t('backups.restoreHelp')}</p>
          <PasswordInput
            label={t('backups.passphrase')}
            autoComplete="off"
            data-autofocus
            visibilityToggleButtonProps={{ 'aria-label': t('signIn.show') }}
            value={passphrase}
            onChange={(event) => setPassphrase(event.currentTarget.value)}
          />
          <div className="form-end">
            <Button variant="default" onClick={close}>
              {t('common.cancel')}
            </Button>
            <Button type="submit" loading={trying.isPending} disabled={passphrase === ''}>
              {t('configuration.try')}
            </Button>
          </div>
        </form>
      ) : (
        <ApplyPanel
          preview={trying.data}
          error={null}
          retry={() => trying.mutate()}
          apply={(manner) => restore(id, passphrase, manner)}
          done={close}
          readOnly={undefined}
        />
      )}
    </Modal>
  )
}
