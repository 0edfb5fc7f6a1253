/** Status is a shape, a word and a colour, so that none of them is needed to read it. */
import { useTranslation } from 'react-i18next'
import { said } from '../i18n/index.ts'
import type { Facts, Health, Resource, Sync } from '../status/facts.ts'
import { useReason } from '../status/useReason.ts'

export type Tone = 'up' | 'degraded' | 'down' | 'draining' | 'disabled' | 'unknown'

/** The shape alone; the word must stand beside it. */
export function Glyph({ tone, size = 14 }: { tone: Tone; size?: number }) {
  return (
    <svg className={`glyph tone-${tone}`} width={size} height={size} viewBox="0 0 16 16" aria-hidden="true">
      {shapes[tone]}
    </svg>
  )
}

const shapes: Record<Tone, React.ReactNode> = {
  up: (
    <>
      <circle className="fill" cx="8" cy="8" r="7.5" />
      <path className="mark" d="M4.6 8.3l2.3 2.3 4.5-4.9" />
    </>
  ),
  degraded: (
    <>
      <path className="fill" d="M8 .8l7.6 13.9H.4z" />
      <path className="mark" d="M8 5.6v4.2M8 11.9v.6" />
    </>
  ),
  down: (
    <>
      <rect className="fill" x=".8" y=".8" width="14.4" height="14.4" rx="3" />
      <path className="mark" d="M5 5l6 6M11 5l-6 6" />
    </>
  ),
  draining: (
    <>
      <circle className="ring" cx="8" cy="8" r="6.6" />
      <path className="fill" d="M8 1.4a6.6 6.6 0 010 13.2z" />
    </>
  ),
  disabled: (
    <>
      <circle className="ring" cx="8" cy="8" r="6.6" />
      <path className="stroke" d="M5 8h6" />
    </>
  ),
  unknown: (
    <>
      <circle className="ring dashed" cx="8" cy="8" r="6.8" />
      <path className="stroke" d="M6.1 6.2c.1-2.5 4-2.3 3.8 0-.1 1.3-1.8 1.3-1.9 2.9M8 11.3v.5" />
    </>
  ),
}

const HEALTH: Record<Health, Tone> = {
  up: 'up',
  degraded: 'degraded',
  down: 'down',
  draining: 'draining',
  off: 'disabled',
  unknown: 'unknown',
}
const SYNC: Record<Sync, Tone> = { applied: 'up', pending: 'degraded', failed: 'down' }

export const healthTone = (health: Health) => HEALTH[health]

function Word({ tone, quiet, title, children }: { tone: Tone; quiet?: boolean; title?: string; children: string }) {
  return (
    <span className={quiet ? 'status quiet' : `status tone-${tone}`} title={title}>
      {!quiet && <Glyph tone={tone} />}
      <span>{children}</span>
    </span>
  )
}

/** Whether it serves. */
export function HealthStatus({ facts }: { facts: Facts }) {
  const { t } = useTranslation()
  const reasonOf = useReason()
  const { health } = facts
  return (
    <Word tone={HEALTH[health]} title={reasonOf(facts)}>
      {t(`health.${health}`)}
    </Word>
  )
}

interface SyncProps {
  sync: Sync
  reason?: string | null
  /** Where it stands alone; in a table what is applied stays quiet. */
  loud?: boolean
}

/** Whether the last change is forwarded. */
export function SyncStatus({ sync, reason, loud = false }: SyncProps) {
  const { t } = useTranslation()
  return (
    <Word tone={SYNC[sync]} quiet={sync === 'applied' && !loud} title={reason ? said(reason) : undefined}>
      {t(`sync.${sync}`)}
    </Word>
  )
}

/** Beside a name, only where the last change is not forwarded. */
export function SyncMark({ resource }: { resource: Pick<Resource, 'provisioning_status' | 'status_reason'> }) {
  const { t } = useTranslation()
  const { provisioning_status: sync, status_reason: reason } = resource
  if (sync === 'applied') return null
  return (
    <span className={`mark tone-${SYNC[sync]}`} title={reason ? said(reason) : undefined}>
      {t(`sync.${sync}`)}
    </span>
  )
}
