import { useTranslation } from 'react-i18next'
import { Glyph } from '../../ui/Status.tsx'

const SHOWN = [
  ['up', 'up'],
  ['degraded', 'degraded'],
  ['down', 'down'],
  ['draining', 'draining'],
  ['off', 'disabled'],
] as const

/** What the shapes mean. */
export function Legend() {
  const { t } = useTranslation()
  return (
    <ul className="shapes only-wide">
      {SHOWN.map(([health, tone]) => (
        <li key={health}>
          <Glyph tone={tone} size={12} /> {t(`health.${health}`)}
        </li>
      ))}
    </ul>
  )
}
