/** One's second factor: a device whose codes are asked for beside the password. */
import { Button } from '@mantine/core'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { answer, api } from '../../api/client.ts'
import { Card } from '../../ui/Card.tsx'
import { later } from '../../ui/later.tsx'
import { Glyph } from '../../ui/Status.tsx'
import { showToast } from '../../ui/toasts.ts'
import { PasswordModal } from './PasswordModal.tsx'

const BeginSecondFactor = later(async () => (await import('./BeginSecondFactor.tsx')).BeginSecondFactor)

export function SecondFactor() {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const [open, setOpen] = useState(false)
  const { data } = useQuery({
    queryKey: ['second-factor'],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/second-factor', { signal })),
  })
  const on = data?.state === 'on'
  const close = () => {
    setOpen(false)
    void queries.invalidateQueries({ queryKey: ['second-factor'] })
  }
  const end = async (password: string) => {
    await answer(api.POST('/api/v1/second-factor/end', { body: { password } }))
    showToast({ tone: 'up', text: t('secondFactor.ended') })
    close()
  }
  return (
    <Card
      title={t('secondFactor.title')}
      className="form-card"
      aside={
        data !== undefined && (
          <Button size="compact-sm" variant="default" onClick={() => setOpen(true)}>
            {on ? t('secondFactor.end') : t('secondFactor.begin')}
          </Button>
        )
      }
    >
      {data !== undefined && (
        <div className="quiet-note">
          <Glyph tone={on ? 'up' : 'disabled'} size={16} />
          <div>
            <p>{on ? t('secondFactor.on') : t('secondFactor.off')}</p>
            <p className="small dim">
              {on ? t('secondFactor.recovery', { count: data.recovery_codes }) : t('secondFactor.offHelp')}
            </p>
          </div>
        </div>
      )}
      {open && !on && <BeginSecondFactor close={close} />}
      {open && on && (
        <PasswordModal
          title={t('secondFactor.title')}
          text={t('secondFactor.endText')}
          label={t('secondFactor.end')}
          submit={end}
          close={close}
        />
      )}
    </Card>
  )
}
