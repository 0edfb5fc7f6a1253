/** Who may sign in, and what they may do. */
import { Menu } from '@mantine/core'
import { IconPencil, IconTrash } from '@tabler/icons-react'
import { getRouteApi, Outlet, useNavigate } from '@tanstack/react-router'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { User } from '../../api/client.ts'
import { users } from '../../api/resources.ts'
import { useList } from '../../api/useList.ts'
import { useUserFields } from '../../resources/fields.ts'
import { CreateModal, EditModal } from '../../ui/form/modals.tsx'
import { dateTime } from '../../ui/format.ts'
import type { Column } from '../../ui/list/columns.ts'
import { ListPage } from '../../ui/list/ListPage.tsx'
import { RowMenu } from '../../ui/list/RowMenu.tsx'
import { RemoveModal } from '../../ui/RemoveModal.tsx'
import { Glyph } from '../../ui/Status.tsx'

const route = getRouteApi('/users')

export function UserList() {
  const { t, i18n } = useTranslation()
  const search = route.useSearch()
  const navigate = useNavigate()
  const list = useList(users, search)
  const [doing, setDoing] = useState<{ what: 'edit' | 'remove'; user: User } | null>(null)
  const setSearch = (next: typeof search) => void navigate({ to: '/users', search: next, replace: true })
  const stop = () => setDoing(null)
  const columns = useMemo(
    (): Column<User>[] => [
      {
        id: 'name',
        title: t('field.name'),
        phone: 'title',
        value: ({ name }) => name,
        sort: 'name',
        cell: ({ name }) => (
          <b className="named cut">
            <bdi>{name}</bdi>
          </b>
        ),
      },
      { id: 'role', title: t('users.role'), value: ({ role }) => role, cell: ({ role }) => t(`role.${role}`) },
      {
        id: 'state',
        title: t('list.status'),
        phone: 'status',
        value: ({ enabled }) => Number(enabled),
        cell: ({ enabled }) =>
          enabled ? (
            <span className="status quiet">{t('admin.enabled')}</span>
          ) : (
            <span className="status tone-disabled">
              <Glyph tone="disabled" /> {t('admin.disabled')}
            </span>
          ),
      },
      {
        id: 'description',
        title: t('field.description'),
        phone: 'hidden',
        value: ({ description }) => description,
        cell: ({ description }) => <bdi className="named cut dim">{description}</bdi>,
      },
      {
        id: 'created',
        title: t('users.since'),
        phone: 'hidden',
        value: ({ created_at }) => created_at,
        sort: 'created_at',
        cell: ({ created_at }) => <span className="nowrap">{dateTime(created_at, i18n.language)}</span>,
      },
    ],
    [t, i18n.language],
  )
  const fields = useUserFields()
  const changed = useMemo(() => fields.map((f) => (f.kind === 'secret' ? { ...f, required: false } : f)), [fields])
  return (
    <>
      <ListPage
        title={t('nav.users')}
        empty={{ title: t('users.empty'), help: t('users.emptyHelp') }}
        list={list}
        search={search}
        setSearch={setSearch}
        columns={columns}
        idOf={({ id }) => id}
        nameOf={({ name }) => name}
        textOf={({ name, role, description }) => `${name} ${role} ${description}`}
        open={(user) => setDoing({ what: 'edit', user })}
        create={{ label: t('users.create'), open: () => setSearch({ ...search, create: true }) }}
        actions={(user) => (
          <RowMenu name={user.name}>
            <Menu.Item leftSection={<IconPencil size={14} />} onClick={() => setDoing({ what: 'edit', user })}>
              {t('detail.edit')}
            </Menu.Item>
            <Menu.Item
              className="danger"
              leftSection={<IconTrash size={14} />}
              onClick={() => setDoing({ what: 'remove', user })}
            >
              {t('detail.remove')}
            </Menu.Item>
          </RowMenu>
        )}
      />
      {search.create === true && (
        <CreateModal
          title={t('users.create')}
          into={users}
          fields={fields}
          initial={{ role: 'operator', enabled: true }}
          close={() => setSearch({ ...search, create: undefined })}
        />
      )}
      {doing?.what === 'edit' && (
        <EditModal
          title={t('users.edit', { name: doing.user.name })}
          of={users}
          id={doing.user.id}
          fields={changed}
          close={stop}
        />
      )}
      {doing?.what === 'remove' && (
        <RemoveModal from={users} resource={doing.user} close={stop} done={stop} typed>
          {t('users.removeText')}
        </RemoveModal>
      )}
      <Outlet />
    </>
  )
}
