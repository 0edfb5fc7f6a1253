import { useTranslation } from 'react-i18next'
import type { Member } from '../api/client.ts'
import { memberAdmin, type Admin } from '../status/facts.ts'

const ORDER: readonly Admin[] = ['enabled', 'draining', 'disabled']

/** How many of a pool's members take connections, as a number and as a bar. Not green: nobody checks them yet. */
export function MemberBar({ members }: { members: readonly Member[] | undefined }) {
  const { t } = useTranslation()
  if (members === undefined) return <span className="dim">{t('common.none')}</span>
  const having = (admin: Admin) => members.filter((member) => memberAdmin(member) === admin).length
  const words = ORDER.filter(having).map((admin) => `${t(`admin.${admin}`)} ${having(admin)}`)
  return (
    <span className="member-bar" title={words.join(' · ')}>
      <span className="member-count">
        {having('enabled')}/{members.length}
      </span>
      <span className="bar" aria-hidden="true">
        {members.length === 0 && <span className="segment none" />}
        {ORDER.filter(having).map((admin) => (
          <span key={admin} className={`segment ${admin}`} style={{ flexGrow: having(admin) }} />
        ))}
      </span>
    </span>
  )
}
