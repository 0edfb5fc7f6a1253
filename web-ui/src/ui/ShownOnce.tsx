/** A secret that the appliance tells once: it can be copied, and a slip does not close it. */
import { Button, Modal } from '@mantine/core'
import { IconCheck, IconCopy } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

interface Props {
  title: string
  /** Why one should keep it. */
  text: string
  secret: string
  close: () => void
}

export function ShownOnce({ title, text, secret, close }: Props) {
  const { t } = useTranslation()
  const [copied, setCopied] = useState(false)
  return (
    <Modal
      opened
      onClose={close}
      withCloseButton={false}
      closeOnClickOutside={false}
      closeOnEscape={false}
      title={title}
    >
      <div className="fields">
        <p>{text}</p>
        <div className="code-box">
          <pre className="mono wrap-any" tabIndex={0} aria-label={title}>
            {secret}
          </pre>
        </div>
        <div className="form-end">
          <Button
            variant="default"
            leftSection={copied ? <IconCheck size={14} /> : <IconCopy size={14} />}
            onClick={() => void navigator.clipboard.writeText(secret).then(() => setCopied(true))}
          >
            {copied ? t('form.copied') : t('form.copy')}
          </Button>
          <Button onClick={close}>{t('tokens.done')}</Button>
        </div>
      </div>
    </Modal>
  )
}
