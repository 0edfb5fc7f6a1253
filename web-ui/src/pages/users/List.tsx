/** Who may sign in, and what they may do. */
import { Menu } from '@mantine/core'
import { IconDeviceMobileOff } from '@tabler/icons-react'
import { getRouteApi } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { answer, api, type User } from '../../api/client.ts'
import { users } from '../../api/resources.ts'
import { useList } from '../../api/useList.ts'
import { useUserFields } from '../../resources/accounts.ts'
import { DangerModal } from '../../ui/DangerModal.tsx'
import { dateTime } from '../../ui/format.ts'
import { EnabledState, PlainName } from '../../ui/list/cells.tsx'
import type { Column } from '../../ui/list/columns.ts'
import { ResourcePage } from '../../ui/list/ResourcePage.tsx'
import { showToast } from '../../ui/toasts.ts'

const route = getRouteApi('/users')
const WORDS = {
  title: 'nav.users',
  create: 'users.create',
  edit: 'users.edit',
  empty: 'users.empty',
  emptyHelp: 'users.emptyHelp',
} as const

export function UserList() {
  const { t, i18n } = useTranslation()
  const list = useList(users, route.useSearch())
  const columns = useMemo(
    (): Column<User>[] => [
      {
        id: 'name',
        title: t('field.name'),
        phone: 'title',
        value: ({ name }) => name,
        sort: 'name',
        cell: (user) => <PlainName resource={user} />,
      },
      { id: 'role', title: t('users.role'), value: ({ role }) => role, cell: ({ role }) => t(`role.${role}`) },
      {
        id: 'state',
        title: t('list.status'),
        phone: 'status',
        value: ({ enabled }) => Number(enabled),
        cell: ({ enabled }) => <EnabledState enabled={enabled} />,
      },
      {
        id: 'description',
        title: t('field.description'),
        phone: 'hidden',
        value: ({ description }) => description,
        cell: ({ description }) => <bdi className="named cut dim">{description}</bdi>,
      },
      {
        id: 'created_at',
        title: t('users.since'),
        phone: 'hidden',
        value: ({ created_at }) => created_at,
        sort: 'created_at',
        cell: ({ created_at }) => <span className="nowrap">{dateTime(created_at, i18n.language)}</span>,
      },
    ],
    [t, i18n.language],
  )
  const [lost, setLost] = useState<User | null>(null)
  const take = async ({ id, name }: User) => {
    await answer(api.DELETE('/api/v1/users/{id}/second-factor', { params: { path: { id } } }))
    showToast({ tone: 'up', text: t('secondFactor.taken', { name }) })
  }
  const fields = useUserFields()
  const changed = useMemo(() => fields.map((f) => (f.kind === 'secret' ? { ...f, required: false } : f)), [fields])
  return (
    <>
      <ResourcePage
        place="/users"
        of={users}
        list={list}
        words={WORDS}
        columns={columns}
        textOf={({ role }) => role}
        fields={fields}
        editFields={changed}
        initial={{ role: 'operator', enabled: true }}
        removal={() => t('users.removeText')}
        typed
        actions={(user) => (
          <Menu.Item leftSection={<IconDeviceMobileOff size={14} />} onClick={() => setLost(user)}>
            {t('secondFactor.take')}
          </Menu.Item>
        )}
      />
      {lost !== null && (
        <DangerModal
          title={t('secondFactor.takeTitle', { name: lost.name })}
          confirm={t('secondFactor.take')}
          act={() => take(lost)}
          close={() => setLost(null)}
        >
          {t('secondFactor.takeText')}
        </DangerModal>
      )}
    </>
  )
}
