/** What cells of many lists show alike. */
import { useTranslation } from 'react-i18next'
import type { Resource } from '../../status/facts.ts'
import { Glyph, SyncMark } from '../Status.tsx'

/** The first of several names; how many there are beside it, and all of them for who points at it. */
export function Names({ names, after }: { names: readonly string[]; after?: string | undefined }) {
  const { t } = useTranslation()
  if (names.length === 0) return <span className="dim">{t('common.none')}</span>
  return (
    <span className="named">
      <bdi className="cut" title={names.join(', ')}>
        {names[0]}
      </bdi>
      {after !== undefined && <span className="dim mono">{after}</span>}
      {names.length > 1 && <span className="dim">+{names.length - 1}</span>}
    </span>
  )
}

/** A name that leads nowhere: a click on its row does. */
export function PlainName({
  resource,
}: {
  resource: Pick<Resource, 'name' | 'provisioning_status' | 'status_reason'>
}) {
  return (
    <span className="named">
      <b className="cut">
        <bdi>{resource.name}</bdi>
      </b>
      <SyncMark resource={resource} />
    </span>
  )
}

/** Quiet while it is on. */
export function EnabledState({ enabled, on }: { enabled: boolean; on?: string }) {
  const { t } = useTranslation()
  if (enabled) return <span className="status quiet">{on ?? t('admin.enabled')}</span>
  return (
    <span className="status tone-disabled">
      <Glyph tone="disabled" /> {t('admin.disabled')}
    </span>
  )
}
