/** Creates a resource. */
import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { canWait, creation, useTray } from '../../pending/useTray.ts'
import type { Collection } from '../../api/collection.ts'
import { showToast } from '../toasts.ts'
import { created, type Field, shown, type Values, valuesOf } from './fields.ts'
import { FormModal } from './FormModal.tsx'
import { ResourceForm } from './ResourceForm.tsx'

interface Props<View, Spec> {
  title: string
  into: Collection<View, Spec>
  fields: readonly Field[]
  /** What it begins with. */
  initial?: Values
  close: () => void
  done?: (view: View) => void
}

export function CreateModal<View extends { name: string }, Spec>(props: Props<View, Spec>) {
  const { title, into, fields, initial, close, done } = props
  const { t } = useTranslation()
  const queries = useQueryClient()
  const shape = into.shape ?? ((document: object) => document)
  const body = (values: Values) => shape(created(fields, values)) as Spec
  const submit = async (values: Values) => {
    const view = await into.create(body(values))
    await queries.invalidateQueries()
    showToast({ tone: 'up', text: t('toast.created', { name: view.name }) })
    close()
    done?.(view)
  }
  const collect = useTray()
  const wait = async (values: Values) => {
    await collect([creation(into, body(values) as object)])
    close()
  }
  return (
    <FormModal title={title} close={close}>
      {({ cancel, setDirty }) => (
        <ResourceForm
          fields={fields}
          initial={{ ...valuesOf(fields, {}), ...initial }}
          submit={submit}
          wait={canWait(into) ? wait : undefined}
          label={t('form.create')}
          cancel={cancel}
          setDirty={setDirty}
          calls={(values) => [{ method: 'POST', url: into.url, body: shown(fields, body(values) as object) }]}
        />
      )}
    </FormModal>
  )
}
