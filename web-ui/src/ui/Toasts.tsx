import { ActionIcon, Button } from '@mantine/core'
import { IconX } from '@tabler/icons-react'
import { useTranslation } from 'react-i18next'
import { Glyph } from './Status.tsx'
import { useKeys } from './keys.ts'
import { closeToast, type Toast, undo as goBack, undoLast, useToasts } from './toasts.ts'

export function Toasts() {
  const { t } = useTranslation()
  const toasts = useToasts()
  // A dialogue keeps the focus to itself, so that no Tab leads here.
  useKeys({ z: () => undoLast() }, { inDialogue: true })
  return (
    <section className="toasts" aria-label={t('toast.region')} aria-live="polite">
      {toasts.map((toast) => (
        <Message key={toast.id} toast={toast} />
      ))}
    </section>
  )
}

function Message({ toast }: { toast: Toast }) {
  const { t } = useTranslation()
  const { id, text, tone, undo } = toast
  return (
    <div className="toast">
      <Glyph tone={tone} />
      <span className="toast-text">{text}</span>
      {undo !== undefined && (
        <Button
          size="compact-sm"
          variant="default"
          title={`${t('toast.undo')} (z)`}
          aria-keyshortcuts="z"
          onClick={() => goBack(toast)}
        >
          {t('toast.undo')}
        </Button>
      )}
      <ActionIcon variant="subtle" color="gray" aria-label={t('toast.close')} onClick={() => closeToast(id)}>
        <IconX size={16} />
      </ActionIcon>
    </div>
  )
}
