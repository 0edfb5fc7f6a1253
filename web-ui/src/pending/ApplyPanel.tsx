/**
 * What a change of much would do, and doing it: unless somebody confirms in time, it is taken back by itself. For changesets,
 * imports, and going back to a version.
 */
import { Button, Skeleton, Switch, TextInput } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type ReactNode, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Applied, Schemas, Stats } from '../api/client.ts'
import { ApiProblem } from '../api/problem.ts'
import { statsQuery } from '../api/queries.ts'
import { Changes } from '../ui/Changes.tsx'
import { count } from '../ui/format.ts'
import { ProblemNote } from '../ui/ProblemNote.tsx'
import { Glyph } from '../ui/Status.tsx'
import { showToast } from '../ui/toasts.ts'
import { useNames } from './useNames.ts'

/** So long somebody has to confirm. */
export const CONFIRM_S = 60

export interface Manner {
  comment?: string
  confirm_within?: number
}

interface Props {
  /** Undefined while it is not known. */
  preview: Applied | undefined
  error: Error | null
  retry: () => void
  apply: (manner: Manner) => Promise<Applied>
  done: () => void
  /** Why nothing can be changed. */
  readOnly: string | undefined
  /** What a pointer of the server's leads to, in words. */
  called?: ((pointer: string) => string) | undefined
  /** Beside the button that applies. */
  children?: ReactNode
}

export function ApplyPanel({ preview, error, retry, apply, done, readOnly, called, children }: Props) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const [comment, setComment] = useState('')
  const [timed, setTimed] = useState(true)
  const names = useNames(preview?.changes)
  const applying = useMutation({
    mutationFn: () => apply({ ...(comment && { comment }), ...(timed && { confirm_within: CONFIRM_S }) }),
    onSuccess: async ({ generation }) => {
      showToast({ tone: 'up', text: t('pending.applied', { n: generation }) })
      await queries.invalidateQueries()
      done()
    },
  })
  const size = preview?.changes.length ?? 0
  const failed = applying.error ?? error
  return (
    <div className="fields">
      {failed !== null && <ProblemNote error={failed} retry={retry} unplaced={sentences(failed, called)} />}
      {preview === undefined && error === null && <Skeleton className="late" height={120} />}
      {preview !== undefined && (
        <>
          {size === 0 ? (
            <p className="note">{t('pending.same')}</p>
          ) : (
            <Changes changes={preview.changes} names={names} />
          )}
          {preview.kept.length > 0 && (
            <div className="note degraded">
              <Glyph tone="degraded" size={16} />
              <div>
                <p>{t('pending.kept')}</p>
                {preview.kept.map((line) => (
                  <p key={line} className="small">
                    <bdi>{line}</bdi>
                  </p>
                ))}
              </div>
            </div>
          )}
          <Impact changes={preview.changes} />
        </>
      )}
      {size > 0 && readOnly === undefined && (
        <>
          <TextInput
            label={t('pending.comment')}
            description={t('pending.commentHelp')}
            value={comment}
            maxLength={1000}
            onChange={(event) => setComment(event.currentTarget.value)}
          />
          <Switch
            label={t('pending.timed', { seconds: CONFIRM_S })}
            checked={timed}
            onChange={(event) => setTimed(event.currentTarget.checked)}
          />
        </>
      )}
      <div className="form-end">
        {children}
        <Button
          loading={applying.isPending}
          disabled={size === 0 || error !== null || readOnly !== undefined}
          title={readOnly}
          onClick={() => applying.mutate()}
        >
          {size === 0 ? t('pending.applyNone') : t('pending.apply', { count: size })}
        </Button>
      </div>
    </div>
  )
}

/** What the server found wrong, line by line: there is no form that it could stand in. */
function sentences(error: Error, called = (pointer: string) => pointer): string[] {
  return error instanceof ApiProblem ? error.errors.map(({ pointer, detail }) => `${called(pointer)}: ${detail}`) : []
}

/** Connections that end with it. */
function Impact({ changes }: { changes: readonly Schemas['Change'][] }) {
  const { t } = useTranslation()
  const { data: stats } = useQuery(statsQuery)
  if (stats === undefined) return null
  const ended = changes
    .filter(({ resource, action, fields }) => resource === 'virtual_services' && ends(action, fields))
    .map(({ id, name }) => ({ id, name, open: openOf(stats, id) }))
    .filter(({ open }) => open > 0)
  return ended.map(({ id, name, open }) => (
    <p key={id} className="note degraded">
      <Glyph tone="degraded" size={16} /> <span>{t('pending.ends', { name, connections: count(open) })}</span>
    </p>
  ))
}

const ends = (action: Schemas['Action'], fields: readonly Schemas['FieldChange'][]) =>
  action === 'delete' || fields.some(({ pointer, after }) => pointer === '/enabled' && after === false)

function openOf({ backends, l7 }: Stats, serviceId: string): number {
  const carried = backends.filter(({ virtual_service_id }) => virtual_service_id === serviceId)
  const proxied = l7?.services.find(({ virtual_service_id }) => virtual_service_id === serviceId)
  return carried.reduce((sum, { active }) => sum + active, 0) + (proxied?.connections_open ?? 0)
}
