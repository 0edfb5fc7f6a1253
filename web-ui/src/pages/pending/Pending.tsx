/** What was collected and not applied yet: what it would do, applying or discarding it. One's own first. */
import { ActionIcon, Button } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { IconX } from '@tabler/icons-react'
import { useTranslation } from 'react-i18next'
import { answer, api, type Changeset, type Operation } from '../../api/client.ts'
import { ApiProblem } from '../../api/problem.ts'
import { changesets } from '../../api/resources.ts'
import { useReadOnly } from '../../app/usePermission.ts'
import { ApplyPanel, type Manner } from '../../pending/ApplyPanel.tsx'
import { useNames } from '../../pending/useNames.ts'
import { usePending } from '../../pending/useTray.ts'
import { Card } from '../../ui/Card.tsx'
import { Empty } from '../../ui/Empty.tsx'
import { dateTime } from '../../ui/format.ts'
import { useAction } from '../../ui/useAction.ts'

export function Pending() {
  const { t } = useTranslation()
  const { all, mine } = usePending()
  const others = all?.filter((one) => one !== mine) ?? []
  return (
    <>
      <div className="page-head">
        <h1>{t('nav.pending')}</h1>
      </div>
      <div className="stack wide">
        {all !== undefined && mine === undefined && (
          <section className="card">
            <Empty title={t('pending.empty')} help={t('pending.emptyHelp')} />
          </section>
        )}
        {mine !== undefined && <One changeset={mine} title={t('pending.mine')} />}
        {others.map((one) => (
          <One key={one.id} changeset={one} title={one.name} />
        ))}
      </div>
    </>
  )
}

function One({ changeset, title }: { changeset: Changeset; title: string }) {
  const { t, i18n } = useTranslation()
  const act = useAction()
  const readOnly = useReadOnly()
  const called = useCalled()
  const { id, name, updated_at } = changeset
  const preview = useQuery({
    queryKey: [changesets.key, 'preview', id, updated_at],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/changesets/{id}/preview', { params: { path: { id } }, signal })),
    retry: false,
  })
  const again = () => void preview.refetch()
  const apply = async (manner: Manner) => {
    const { view, etag } = await changesets.read(id)
    // What is applied is what the preview is of.
    if (view.updated_at !== updated_at) throw new ApiProblem(412, 'stale', 'changed meanwhile', '', [])
    const params = { path: { id }, query: manner, header: { 'If-Match': etag } }
    return answer(api.POST('/api/v1/changesets/{id}/apply', { params }))
  }
  const discard = () =>
    act(
      async () => changesets.remove(id, (await changesets.read(id)).etag),
      t('pending.discarded'),
      () => changesets.create({ name, operations: changeset.operations }),
    )
  return (
    <Card
      title={title}
      aside={<span className="dim small">{t('pending.since', { time: dateTime(updated_at, i18n.language) })}</span>}
    >
      <Operations changeset={changeset} readOnly={readOnly} />
      <ApplyPanel
        preview={preview.data}
        error={preview.error}
        retry={again}
        apply={apply}
        done={() => {}}
        readOnly={readOnly}
        called={(pointer) => {
          const [, , index, , ...field] = pointer.split('/')
          const operation = changeset.operations[Number(index)]
          return operation === undefined ? pointer : [called(operation), ...field].join(' · ')
        }}
      >
        <Button variant="default" disabled={readOnly !== undefined} onClick={() => void discard()}>
          {t('pending.discard')}
        </Button>
      </ApplyPanel>
    </Card>
  )
}

/** What an edit is about. */
function useCalled() {
  const names = useNames()
  return ({ id, document }: Operation): string => {
    const own = (document as { name?: unknown } | undefined)?.name
    return names.get(id ?? '') ?? (typeof own === 'string' ? own : (id ?? ''))
  }
}

/** Each edit, so that one alone can be taken out again. */
function Operations({ changeset, readOnly }: { changeset: Changeset; readOnly: string | undefined }) {
  const { t } = useTranslation()
  const act = useAction()
  const called = useCalled()
  const { id, operations } = changeset
  const take = (index: number) => {
    const rest = operations.filter((_, at) => at !== index)
    return act(async () => {
      const { etag } = await changesets.read(id)
      await (rest.length === 0 ? changesets.remove(id, etag) : changesets.patch(id, { operations: rest }, etag))
    }, t('pending.taken'))
  }
  return (
    <details className="fold">
      <summary>{t('pending.edits', { count: operations.length })}</summary>
      <ul className="rows">
        {operations.map((operation, index) => (
          <li key={`${operation.id} ${operation.action}`}>
            <span className={`action ${{ create: 'up', update: 'accent', delete: 'down' }[operation.action]}`}>
              {t(`history.${operation.action}`)}
            </span>
            <bdi className="grow cut">{called(operation)}</bdi>
            <span className="dim small">{t(`kind.${operation.resource as 'pools'}`)}</span>
            <ActionIcon
              variant="subtle"
              color="gray"
              disabled={readOnly !== undefined}
              aria-label={t('pending.takeOut', { name: called(operation) })}
              title={t('pending.takeOut', { name: called(operation) })}
              onClick={() => void take(index)}
            >
              <IconX size={16} />
            </ActionIcon>
          </li>
        ))}
      </ul>
    </details>
  )
}
