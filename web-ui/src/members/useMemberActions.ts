/** What an operator does with members while traffic flows: at once, and for ten seconds it can be undone. */
import { useTranslation } from 'react-i18next'
import { changeSeen, removeSeen } from '../api/change.ts'
import type { Member, MemberState, Schemas } from '../api/client.ts'
import { membersOf } from '../api/resources.ts'
import { useAction } from '../ui/useAction.ts'

type MemberSpec = Schemas['MemberSpec']

export function useMemberActions(poolId: string) {
  const { t } = useTranslation()
  const act = useAction()
  const members = membersOf(poolId)

  const each = <T>(some: readonly Member[], work: (member: Member, index: number) => Promise<T>) =>
    Promise.all(some.map(work))
  const said = (some: readonly Member[], what: MemberState | 'removed') =>
    some.length === 1
      ? t(`toast.${what}`, { name: some[0]?.name ?? '' })
      : t(`members.several.${what}`, { n: some.length })

  return {
    switchTo(some: readonly Member[], state: MemberState) {
      return act(
        () => each(some, (member) => changeSeen(members, member, { state, enabled: true })),
        said(some, state),
        (changed) =>
          each(changed, (member, index) =>
            changeSeen(members, member, { state: some[index]?.state, enabled: some[index]?.enabled }),
          ),
      )
    },
    remove(some: readonly Member[]) {
      return act(
        () => each(some, (member) => removeSeen(members as never, member)),
        said(some, 'removed'),
        () => each(some, (member) => members.create(specOf(member))),
      )
    },
  }
}

const WRITTEN = [
  'name',
  'description',
  'tags',
  'enabled',
  'address',
  'port',
  'state',
  'weight',
  'backup',
  'connection_limit',
] as const satisfies readonly (keyof MemberSpec)[]

/** What an operator wrote of a member, without what the appliance adds. */
const specOf = (member: Member) => Object.fromEntries(WRITTEN.map((key) => [key, member[key]])) as unknown as MemberSpec
