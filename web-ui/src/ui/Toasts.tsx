import { ActionIcon, Button } from '@mantine/core'
import { IconX } from '@tabler/icons-react'
import { useTranslation } from 'react-i18next'
import { Glyph } from './Status.tsx'
import { closeToast, type Toast, useToasts } from './toasts.ts'

export function Toasts() {
  const { t } = useTranslation()
  const toasts = useToasts()
  return (
    <section className="toasts" aria-label={t('toast.region')} aria-live="polite">
      {toasts.map((toast) => (
        <Message key={toast.id} toast={toast} />
      ))}
    </section>
  )
}

function Message({ toast: { id, text, tone, undo } }: { toast: Toast }) {
  const { t } = useTranslation()
  const goBack = () => {
    closeToast(id)
    void undo?.()
  }
  return (
    <div className="toast">
      <Glyph tone={tone} />
      <span className="toast-text">{text}</span>
      {undo !== undefined && (
        <Button size="compact-sm" variant="default" onClick={goBack}>
          {t('toast.undo')}
        </Button>
      )}
      <ActionIcon variant="subtle" color="gray" aria-label={t('toast.close')} onClick={() => closeToast(id)}>
        <IconX size={16} />
      </ActionIcon>
    </div>
  )
}
