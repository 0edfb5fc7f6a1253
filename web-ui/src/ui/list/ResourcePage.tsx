/**
 * The screen of a resource: its list, and the forms that create, change and delete one. A row opens what `open` leads to, or
 * else its form.
 */
import { Menu } from '@mantine/core'
import { IconPencil, IconTrash } from '@tabler/icons-react'
import { Outlet, useNavigate, useSearch } from '@tanstack/react-router'
import { type ReactNode, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Collection } from '../../api/collection.ts'
import type { Listed } from '../../api/useList.ts'
import type { TextKey } from '../../i18n/index.ts'
import type { Field, Values } from '../form/fields.ts'
import { CreateModal, EditModal } from '../form/modals.tsx'
import { RemoveModal } from '../RemoveModal.tsx'
import { ListPage, type ListPageProps } from './ListPage.tsx'
import { RowMenu } from './RowMenu.tsx'
import type { ListSearch } from './search.ts'

interface Named {
  id: string
  name: string
  description: string
  tags: string[]
  generation: number
}

type Passed = 'columns' | 'toneOf' | 'order' | 'pills' | 'bulk' | 'aside'

export interface ResourcePageProps<View extends Named, Spec> extends Pick<ListPageProps<View>, Passed> {
  /** Its address. */
  place: '/pools' | '/monitors' | '/users' | '/virtual-ips' | '/certificates' | '/policies' | '/projects' | '/webhooks'
  of: Collection<View, Spec>
  list: Listed<View>
  /** `edit` takes the name. */
  words: { title: TextKey; create: TextKey; edit: TextKey; empty: TextKey; emptyHelp: TextKey }
  /** What the search looks at, beside name, description and tags. */
  textOf?: (view: View) => string
  fields: readonly Field[]
  /** Where they are others than for a new one. */
  editFields?: readonly Field[]
  /** What a new one begins with. */
  initial: Values
  /** Why nothing can be changed; undefined if it can. */
  readOnly?: string | undefined
  open?: (id: string) => void
  /** What follows from deleting it; said where a row is deleted from the list. */
  removal?: (view: View) => ReactNode
  /** Whether the name must be typed to delete one. */
  typed?: boolean
  /** More of the menu of a row. */
  actions?: (view: View) => ReactNode
}

export function ResourcePage<View extends Named, Spec>(props: ResourcePageProps<View, Spec>) {
  const { place, of, list, words, textOf, fields, editFields = fields, initial, readOnly, open } = props
  const { removal, typed, actions, ...shown } = props
  const { t } = useTranslation()
  const search: ListSearch = useSearch({ strict: false })
  const navigate = useNavigate()
  const [doing, setDoing] = useState<{ what: 'edit' | 'remove'; view: View } | null>(null)
  const setSearch = (next: ListSearch) => void navigate({ to: place, search: next, replace: true })
  const edit = readOnly === undefined ? (view: View) => setDoing({ what: 'edit', view }) : undefined
  const stop = () => setDoing(null)
  const menu = (view: View) => (
    <RowMenu name={view.name}>
      {actions?.(view)}
      <Menu.Item leftSection={<IconPencil size={14} />} onClick={() => edit?.(view)}>
        {t('detail.edit')}
      </Menu.Item>
      <Menu.Item
        className="danger"
        leftSection={<IconTrash size={14} />}
        onClick={() => setDoing({ what: 'remove', view })}
      >
        {t('detail.remove')}
      </Menu.Item>
    </RowMenu>
  )
  return (
    <>
      <ListPage
        {...shown}
        title={t(words.title)}
        empty={{ title: t(words.empty), help: t(words.emptyHelp) }}
        list={list}
        search={search}
        setSearch={setSearch}
        idOf={({ id }) => id}
        nameOf={({ name }) => name}
        textOf={(view) => [view.name, view.description, ...view.tags, textOf?.(view)].join(' ')}
        open={open === undefined ? edit : ({ id }) => open(id)}
        create={{
          label: t(words.create),
          open: () => setSearch({ ...search, create: true }),
          reason: readOnly,
        }}
        actions={readOnly === undefined && removal !== undefined ? menu : undefined}
      />
      {search.create === true && readOnly === undefined && (
        <CreateModal
          title={t(words.create)}
          into={of}
          fields={fields}
          initial={initial}
          close={() => setSearch({ ...search, create: undefined })}
          done={({ id }) => open?.(id)}
        />
      )}
      {doing?.what === 'edit' && (
        <EditModal
          title={t(words.edit, { name: doing.view.name })}
          of={of}
          id={doing.view.id}
          fields={editFields}
          close={stop}
        />
      )}
      {doing?.what === 'remove' && (
        <RemoveModal from={of as never} resource={doing.view} close={stop} done={stop} typed={typed}>
          {removal?.(doing.view)}
        </RemoveModal>
      )}
      <Outlet />
    </>
  )
}
