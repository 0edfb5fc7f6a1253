/** A virtual service, its address and its pool in one form. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { monitorsQuery, poolsQuery, virtualIpsQuery } from '../../api/queries.ts'
import { parseMembers } from '../../members/parseMembers.ts'
import { type Mode, MODES } from '../../services/modes.ts'
import type { Field, Values } from '../../ui/form/fields.ts'
import { FormModal } from '../../ui/form/FormModal.tsx'
import { ResourceForm } from '../../ui/form/ResourceForm.tsx'
import { showToast } from '../../ui/toasts.ts'
import { createService } from './createService.ts'

const INITIAL: Values = {
  name: '',
  mode: 'tcp nat',
  address: '',
  port: 80,
  poolKind: 'new',
  default_pool_id: null,
  members: [],
  monitor_ids: [],
}

const isNew = ({ poolKind }: Values) => poolKind === 'new'

const pasted = ({ members, port }: Values) =>
  parseMembers((members as readonly string[]).join('\n'), typeof port === 'number' ? port : 80)

function useFields(): readonly Field[] {
  const { t } = useTranslation()
  const { data: virtualIps = [] } = useQuery(virtualIpsQuery)
  const { data: pools = [] } = useQuery(poolsQuery)
  const { data: monitors = [] } = useQuery(monitorsQuery)
  return [
    { path: 'name', kind: 'text', label: 'field.name', help: 'help.name', required: true },
    {
      path: 'address',
      kind: 'suggested',
      label: 'create.virtualIp',
      help: 'create.virtualIpHelp',
      required: true,
      choices: virtualIps.map(({ address }) => address),
    },
    { path: 'port', kind: 'number', label: 'field.port', min: 1, max: 65535, required: true, beside: true },
    {
      path: 'mode',
      kind: 'choice',
      label: 'create.mode',
      choices: Object.keys(MODES).map((mode) => ({ value: mode, label: t(`mode.${mode as Mode}`) })),
    },
    {
      path: 'poolKind',
      kind: 'choice',
      label: 'field.pool',
      choices: [
        { value: 'new', label: t('create.newPool') },
        { value: 'existing', label: t('create.existingPool') },
      ],
    },
    {
      path: 'members',
      kind: 'lines',
      label: 'detail.members',
      help: 'create.membersHelp',
      required: true,
      placeholder: '198.51.100.11:8080\n198.51.100.12:8080',
      when: isNew,
    },
    {
      path: 'monitor_ids',
      kind: 'several',
      label: 'field.monitors',
      help: 'help.monitors',
      choices: monitors.map(({ id, name }) => ({ value: id, label: name })),
      when: (values) => isNew(values) && monitors.length > 0,
    },
    {
      path: 'default_pool_id',
      kind: 'choice',
      label: 'create.choosePool',
      required: true,
      optional: true,
      choices: pools.map(({ id, name }) => ({ value: id, label: name })),
      when: (values) => !isNew(values),
    },
  ]
}

export function CreateService({ close, done }: { close: () => void; done: (id: string) => void }) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const fields = useFields()
  const { data: virtualIps = [] } = useQuery(virtualIpsQuery)
  const submit = async (values: Values) => {
    const { name, address, port, mode, default_pool_id } = values
    const pool = isNew(values) ? { members: pasted(values).members } : { id: String(default_pool_id) }
    const wanted = {
      name: String(name).trim(),
      address: String(address).trim(),
      port: Number(port),
      mode: mode as Mode,
      monitors: [...(values.monitor_ids as readonly string[])],
      pool,
    }
    const id = await createService(wanted, virtualIps)
    await queries.invalidateQueries()
    showToast({ tone: 'up', text: t('toast.created', { name: wanted.name }) })
    done(id)
  }
  const check = (values: Values): Record<string, string> => {
    const [first] = isNew(values) ? pasted(values).faults : []
    return first === undefined ? {} : { members: first }
  }
  return (
    <FormModal title={t('services.create')} close={close}>
      {({ cancel, setDirty }) => (
        <ResourceForm
          fields={fields}
          initial={INITIAL}
          submit={submit}
          check={check}
          label={t('form.create')}
          cancel={cancel}
          setDirty={setDirty}
          note={t('create.note')}
        >
          {(values) => {
            const found = isNew(values) ? pasted(values).members.length : 0
            return found > 0 && <p className="small dim">{t('create.membersFound', { count: found })}</p>
          }}
        </ResourceForm>
      )}
    </FormModal>
  )
}
