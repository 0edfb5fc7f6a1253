/** Begins with a second factor: the password, then the device and what it shows, then the codes for who loses it. */
import { Button, Modal, TextInput } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { answer, api, type Schemas } from '../../api/client.ts'
import { ProblemNote } from '../../ui/ProblemNote.tsx'
import { QrCode } from '../../ui/QrCode.tsx'
import { ShownOnce } from '../../ui/ShownOnce.tsx'
import { PasswordModal } from './PasswordModal.tsx'

export function BeginSecondFactor({ close }: { close: () => void }) {
  const { t } = useTranslation()
  const [device, setDevice] = useState<Schemas['DeviceSecret'] | null>(null)
  const [codes, setCodes] = useState<readonly string[] | null>(null)
  const begin = async (password: string) =>
    setDevice(await answer(api.POST('/api/v1/second-factor', { body: { password } })))
  const confirm = async (code: string) => {
    const { recovery_codes } = await answer(api.POST('/api/v1/second-factor/confirm', { body: { code } }))
    setCodes(recovery_codes)
  }
  if (codes !== null) {
    return (
      <ShownOnce
        title={t('secondFactor.codes')}
        text={t('secondFactor.keep')}
        secret={codes.join('\n')}
        close={close}
      />
    )
  }
  if (device !== null) return <Device {...device} confirm={confirm} close={close} />
  return (
    <PasswordModal
      title={t('secondFactor.title')}
      text={t('secondFactor.offHelp')}
      label={t('secondFactor.next')}
      submit={begin}
      close={close}
    />
  )
}

interface DeviceProps {
  secret: string
  uri: string
  confirm: (code: string) => Promise<void>
  close: () => void
}

/** In groups of four, as people type it. */
const grouped = (secret: string) => secret.match(/.{1,4}/g)?.join(' ') ?? secret

function Device({ secret, uri, confirm, close }: DeviceProps) {
  const { t } = useTranslation()
  const [code, setCode] = useState('')
  const confirming = useMutation({ mutationFn: confirm })
  return (
    <Modal
      opened
      onClose={close}
      title={t('secondFactor.title')}
      closeOnClickOutside={false}
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <form
        className="fields"
        onSubmit={(event) => {
          event.preventDefault()
          confirming.mutate(code)
        }}
      >
        {confirming.error !== null && <ProblemNote error={confirming.error} />}
        <p>{t('secondFactor.scan')}</p>
        <QrCode text={uri} label={t('secondFactor.picture')} />
        <p className="mono wrap-any device-secret">{grouped(secret)}</p>
        <TextInput
          label={t('signIn.code')}
          description={t('secondFactor.codeHelp')}
          autoComplete="one-time-code"
          inputMode="numeric"
          data-autofocus
          classNames={{ input: 'mono' }}
          value={code}
          onChange={(event) => setCode(event.currentTarget.value)}
        />
        <div className="form-end">
          <Button variant="default" onClick={close}>
            {t('common.cancel')}
          </Button>
          <Button type="submit" loading={confirming.isPending} disabled={code.trim() === ''}>
            {t('secondFactor.confirm')}
          </Button>
        </div>
      </form>
    </Modal>
  )
}
