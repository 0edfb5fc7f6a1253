/**
 * Changes a resource as it was when the form was opened. If somebody else changed it meanwhile nothing is written: both
 * versions are shown beside the one that both began with, and one decides field by field.
 */
import { Skeleton } from '@mantine/core'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { canWait, update, useTray } from '../../pending/useTray.ts'
import type { Collection } from '../../api/collection.ts'
import { isProblem } from '../../api/problem.ts'
import { ProblemNote } from '../ProblemNote.tsx'
import { showToast } from '../toasts.ts'
import { Conflict } from './Conflict.tsx'
import { type Field, patched, shown, type Values, valuesOf } from './fields.ts'
import { FormModal } from './FormModal.tsx'
import { ResourceForm } from './ResourceForm.tsx'

interface Props<View, Spec> {
  title: string
  of: Collection<View, Spec>
  id: string
  fields: readonly Field[]
  close: () => void
}

/** What was read, and with which ETag. */
interface Version {
  values: Values
  etag: string
}

export function EditModal<View extends { name: string }, Spec>(props: Props<View, Spec>) {
  const { title, of, id, fields, close } = props
  // Read once, when the form opens: what is typed belongs to this version.
  const { data, error, refetch } = useQuery({
    queryKey: [of.key, of.url, 'edit', id],
    queryFn: ({ signal }) => of.read(id, signal),
    staleTime: Infinity,
    gcTime: 0,
    refetchOnWindowFocus: false,
    refetchOnReconnect: false,
  })
  return (
    <FormModal title={title} close={close}>
      {({ cancel, setDirty }) => (
        <>
          {error !== null && data === undefined && <ProblemNote error={error} retry={() => void refetch()} />}
          {data === undefined && error === null && <Skeleton className="late" height={220} />}
          {data !== undefined && (
            <Editing
              {...props}
              read={{ values: valuesOf(fields, data.view), etag: data.etag }}
              cancel={cancel}
              setDirty={setDirty}
            />
          )}
        </>
      )}
    </FormModal>
  )
}

interface EditingProps<View, Spec> extends Props<View, Spec> {
  read: Version
  cancel: () => void
  setDirty: (dirty: boolean) => void
}

function Editing<View extends { name: string }, Spec>(props: EditingProps<View, Spec>) {
  const { of, id, fields, close, read, cancel, setDirty } = props
  const { t } = useTranslation()
  const queries = useQueryClient()
  // What the form began with, whatever is read later.
  const [base, setBase] = useState(read)
  const [mine, setMine] = useState(read.values)
  const [theirs, setTheirs] = useState<Version | null>(null)

  const change = (from: Version, values: Values) => {
    const document = patched(fields, from.values, values)
    return of.shape?.(document) ?? document
  }
  const write = async (values: Values, from: Version) => {
    try {
      const view = await of.patch(id, change(from, values) as Partial<Spec>, from.etag)
      await queries.invalidateQueries()
      showToast({ tone: 'up', text: t('toast.saved', { name: view.name }) })
      close()
    } catch (error) {
      if (!isProblem(error, 'stale')) throw error
      const { view, etag } = await of.read(id)
      setBase(from)
      setMine(values)
      setTheirs({ values: valuesOf(fields, view), etag })
    }
  }
  const collect = useTray()
  const wait = async (values: Values) => {
    await collect([update(of, id, change(base, values))])
    close()
  }
  if (theirs !== null) {
    return (
      <Conflict
        fields={fields}
        base={base.values}
        mine={mine}
        theirs={theirs.values}
        cancel={cancel}
        resolve={(values) => write(values, theirs)}
      />
    )
  }
  return (
    <ResourceForm
      fields={fields}
      initial={base.values}
      submit={(values) => write(values, base)}
      wait={canWait(of) ? wait : undefined}
      label={t('form.save')}
      cancel={cancel}
      setDirty={setDirty}
      calls={(values) => [
        {
          method: 'PATCH',
          url: `${of.url}/${id}`,
          body: shown(fields, change(base, values)),
          etag: base.etag,
        },
      ]}
    />
  )
}
