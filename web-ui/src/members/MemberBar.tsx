/** How a pool's members are, as a number and as a bar. */
import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { membersQuery } from '../api/queries.ts'
import { type Health, HEALTH_ORDER, memberFacts, serves } from '../status/facts.ts'
import { healthTone } from '../ui/Status.tsx'

export function MemberBar({ poolId }: { poolId: string | null }) {
  const { t } = useTranslation()
  const { data: members } = useQuery({ ...membersQuery(poolId ?? ''), enabled: poolId !== null })
  if (members === undefined) return <span className="dim">{t('common.none')}</span>
  const all = members.map((member) => memberFacts(member).health)
  const having = (health: Health) => all.filter((one) => one === health).length
  const words = HEALTH_ORDER.filter(having).map((health) => `${t(`health.${health}`)} ${having(health)}`)
  return (
    <span className="member-bar" title={words.join(' · ')}>
      <span className="member-count">
        {all.filter(serves).length}/{members.length}
      </span>
      <span className="bar" aria-hidden="true">
        {members.length === 0 && <span className="segment none" />}
        {[...HEALTH_ORDER]
          .reverse()
          .filter(having)
          .map((health) => (
            <span key={health} className={`segment tone-${healthTone(health)}`} style={{ flexGrow: having(health) }} />
          ))}
      </span>
    </span>
  )
}
