/** How far back a chart can go. */
import { useTranslation } from 'react-i18next'

/** Minutes. */
export const RANGES = [15, 60, 360, 1440]

export function useRangeWord(): (minutes: number) => string {
  const { t } = useTranslation()
  return (minutes) =>
    minutes < 60 ? t('dashboard.minutes', { n: minutes }) : t('dashboard.hours', { n: minutes / 60 })
}
