/** Who has what to themselves, and how much of it. */
import { getRouteApi } from '@tanstack/react-router'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import type { Schemas } from '../../api/client.ts'
import { projects } from '../../api/resources.ts'
import { useList } from '../../api/useList.ts'
import { useReadOnly } from '../../app/usePermission.ts'
import { projectFields, QUOTAS } from '../../resources/projects.ts'
import { EnabledState, PlainName } from '../../ui/list/cells.tsx'
import type { Column } from '../../ui/list/columns.ts'
import { ResourcePage } from '../../ui/list/ResourcePage.tsx'

type Project = Schemas['ProjectView']

const route = getRouteApi('/projects')
const WORDS = {
  title: 'nav.projects',
  create: 'projects.create',
  edit: 'monitors.edit',
  empty: 'projects.empty',
  emptyHelp: 'projects.emptyHelp',
} as const

export function ProjectList() {
  const { t } = useTranslation()
  const columns = useMemo(
    (): Column<Project>[] => [
      {
        id: 'name',
        title: t('field.name'),
        phone: 'title',
        value: ({ name }) => name,
        sort: 'name',
        cell: (project) => <PlainName resource={project} />,
      },
      {
        id: 'state',
        title: t('list.status'),
        phone: 'status',
        value: ({ enabled }) => Number(enabled),
        cell: ({ enabled }) => <EnabledState enabled={enabled} />,
      },
      {
        id: 'quotas',
        title: t('projects.quotas'),
        cell: ({ quotas }) => {
          const set = QUOTAS.filter(([kind]) => typeof quotas[kind] === 'number')
          if (set.length === 0) return <span className="dim">{t('projects.unbounded')}</span>
          return set.map(([kind, word]) => `${t(word)} ${quotas[kind]}`).join(' · ')
        },
      },
      {
        id: 'description',
        title: t('field.description'),
        phone: 'hidden',
        value: ({ description }) => description,
        cell: ({ description }) => <bdi className="named cut dim">{description}</bdi>,
      },
    ],
    [t],
  )
  return (
    <ResourcePage
      place="/projects"
      of={projects}
      list={useList(projects, route.useSearch())}
      words={WORDS}
      columns={columns}
      fields={projectFields}
      initial={{ enabled: true }}
      readOnly={useReadOnly()}
      removal={() => t('projects.removeText')}
    />
  )
}
