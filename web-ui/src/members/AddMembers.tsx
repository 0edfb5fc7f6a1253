/** Adds members to a pool, as many as somebody pastes. */
import { useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { membersOf } from '../api/resources.ts'
import type { Field, Values } from '../ui/form/fields.ts'
import { FormModal } from '../ui/form/FormModal.tsx'
import { ResourceForm } from '../ui/form/ResourceForm.tsx'
import { showToast } from '../ui/toasts.ts'
import { parseMembers } from './parseMembers.ts'

const fields: readonly Field[] = [
  {
    path: 'members',
    kind: 'lines',
    label: 'detail.members',
    help: 'create.membersHelp',
    required: true,
    placeholder: '198.51.100.11:8080\n198.51.100.12:8080',
  },
  { path: 'port', kind: 'number', label: 'members.port', help: 'members.portHelp', min: 1, max: 65535 },
]
const initial: Values = { members: [], port: 80 }

const read = ({ members, port }: Values) => parseMembers((members as readonly string[]).join('\n'), Number(port))

export function AddMembers({ poolId, close }: { poolId: string; close: () => void }) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const into = membersOf(poolId)
  const submit = async (values: Values) => {
    const { members } = read(values)
    let added = 0
    try {
      for (const member of members) {
        await into.create(member)
        added += 1
      }
      close()
    } finally {
      await queries.invalidateQueries()
      if (added > 0) showToast({ tone: 'up', text: t('members.added', { count: added }) })
    }
  }
  const check = (values: Values): Record<string, string> => {
    const [first] = read(values).faults
    return first === undefined ? {} : { members: first }
  }
  return (
    <FormModal title={t('members.add')} close={close}>
      {({ cancel, setDirty }) => (
        <ResourceForm
          fields={fields}
          initial={initial}
          submit={submit}
          check={check}
          label={t('members.add')}
          cancel={cancel}
          setDirty={setDirty}
          calls={(values) => read(values).members.map((body) => ({ method: 'POST', url: into.url, body }))}
        />
      )}
    </FormModal>
  )
}
