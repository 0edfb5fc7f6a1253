/** How long a certificate is still good. */
import { useCallback } from 'react'
import { useTranslation } from 'react-i18next'
import type { Certificate } from '../api/client.ts'
import type { Tone } from '../ui/Status.tsx'

const DAY_MS = 86_400_000
/** As the appliance counts, in its status. */
export const SOON_DAYS = 30

type Dated = Pick<Certificate, 'not_before' | 'not_after'>

/** Negative once it has ended. */
export const daysLeft = ({ not_after }: Dated) =>
  not_after === null ? Infinity : Math.floor((Date.parse(not_after) - Date.now()) / DAY_MS)

export function useExpiry(): (certificate: Dated) => { tone: Tone; text: string } {
  const { t } = useTranslation()
  return useCallback(
    (certificate) => {
      const days = daysLeft(certificate)
      if (days < 0) return { tone: 'down', text: t('expiry.over') }
      if (certificate.not_before !== null && Date.parse(certificate.not_before) > Date.now())
        return { tone: 'down', text: t('expiry.early') }
      return { tone: days <= SOON_DAYS ? 'degraded' : 'up', text: t('expiry.days', { count: days }) }
    },
    [t],
  )
}
