/** A virtual service, its address and its pool in one form. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import { monitorsQuery, poolsQuery, virtualIpsQuery } from '../api/queries.ts'
import { parseMembers } from '../members/parseMembers.ts'
import { isProxied, type Mode, MODES } from './modes.ts'
import { useTray } from '../pending/useTray.ts'
import { certificateFields, TLS_VERSIONS, useCertificateChoices } from '../resources/certificates.ts'
import { useAlgorithms } from '../resources/pools.ts'
import { ACCESS, LIMITS, LOCAL_ADDRESSES, PROXYING, TUNNEL, tunnelled, useTold } from '../resources/services.ts'
import type { ApiCall } from '../ui/form/commands.ts'
import { created, type Field, type Values } from '../ui/form/fields.ts'
import { ResourceForm } from '../ui/form/ResourceForm.tsx'
import { showToast } from '../ui/toasts.ts'
import { createService, type NewService, operationsOf, scriptOf, withOwn } from './createService.ts'

const INITIAL: Values = {
  name: '',
  mode: 'tcp nat',
  address: '',
  port: 80,
  certificateKind: 'new',
  certificate_ids: [],
  min_version: '1.2',
  poolKind: 'new',
  default_pool_id: null,
  members: [],
  monitor_ids: [],
  watch: true,
  algorithm: 'round_robin',
}

const isNew = ({ poolKind }: Values) => poolKind === 'new'
const isHttps = ({ mode }: Values) => mode === 'https proxy'
const isTunnel = ({ mode }: Values) => String(mode).endsWith('tunnel')
const isFullNat = ({ mode }: Values) => String(mode).endsWith('full_nat')
const inLayer7 = ({ mode }: Values) => isProxied(MODES[mode as Mode])
const inLayer4 = (values: Values) => !inLayer7(values)

/** Written of the service as they are; all else says what it needs. */
const OF_THE_SERVICE = new Set(
  [LOCAL_ADDRESSES, ...LIMITS, ...ACCESS, ...TUNNEL, ...PROXYING]
    .map(({ path }) => path)
    .concat('unserved', 'ended', 'syn_cookies_from'),
)

const pasted = ({ members, port, mode }: Values) =>
  // Behind HTTPS members mostly speak HTTP.
  parseMembers(
    (members as readonly string[]).join('\n'),
    mode === 'https proxy' ? 80 : typeof port === 'number' ? port : 80,
  )

function useFields(): readonly Field[] {
  const { t } = useTranslation()
  const { data: virtualIps = [] } = useQuery(virtualIpsQuery)
  const { data: pools = [] } = useQuery(poolsQuery)
  const { data: monitors = [] } = useQuery(monitorsQuery)
  const certificates = useCertificateChoices()
  const algorithms = useAlgorithms()
  const told = useTold(({ mode }) => MODES[mode as Mode])
  const [, chain, privateKey] = certificateFields(true)
  const brings = (values: Values) => isHttps(values) && (certificates.length === 0 || values.certificateKind === 'new')
  return [
    { path: 'name', kind: 'text', label: 'field.name', help: 'help.name', required: true },
    {
      path: 'mode',
      kind: 'choice',
      label: 'create.mode',
      choices: Object.keys(MODES).map((mode) => ({ value: mode, label: t(`mode.${mode as Mode}`) })),
    },
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
      path: 'certificateKind',
      kind: 'choice',
      label: 'field.certificates',
      choices: [
        { value: 'new', label: t('create.newCertificate') },
        { value: 'existing', label: t('create.existingCertificate') },
      ],
      when: (values) => isHttps(values) && certificates.length > 0,
    },
    ...[chain, privateKey].flatMap((field) => (field === undefined ? [] : [{ ...field, when: brings }])),
    {
      path: 'certificate_ids',
      kind: 'several',
      label: 'create.chooseCertificate',
      help: 'help.certificates',
      required: true,
      choices: certificates,
      when: (values) => isHttps(values) && !brings(values),
    },
    {
      path: 'min_version',
      kind: 'choice',
      label: 'field.minVersion',
      choices: TLS_VERSIONS,
      advanced: true,
      when: isHttps,
    },
    {
      path: 'poolKind',
      kind: 'choice',
      label: 'field.pool',
      choices: [
        { value: 'new', label: t('create.newPool') },
        { value: 'existing', label: t('create.existingPool') },
      ],
      when: () => pools.length > 0,
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
      path: 'watch',
      kind: 'switch',
      label: 'create.watch',
      help: 'create.watchHelp',
      when: (values) => isNew(values) && monitors.length === 0 && !String(values.mode).startsWith('udp'),
    },
    {
      path: 'monitor_ids',
      kind: 'several',
      label: 'field.monitors',
      help: 'help.monitors',
      choices: monitors.map(({ id, name }) => ({ value: id, label: name })),
      when: (values) => isNew(values) && monitors.length > 0,
    },
    { path: 'algorithm', kind: 'choice', label: 'field.algorithm', choices: algorithms, advanced: true, when: isNew },
    {
      path: 'default_pool_id',
      kind: 'choice',
      label: 'create.choosePool',
      required: true,
      optional: true,
      choices: pools.map(({ id, name }) => ({ value: id, label: name })),
      when: (values) => !isNew(values),
    },
    ...TUNNEL.map((field) => ({ ...field, when: tunnelled(field, isTunnel) })),
    { ...LOCAL_ADDRESSES, when: isFullNat },
    ...LIMITS,
    ...ACCESS.map((field) => ({ ...field, when: inLayer4 })),
    ...told,
    ...PROXYING.map((field) => ({ ...field, when: inLayer7 })),
  ]
}

/** What was typed, as what is wanted of the appliance. */
function read(values: Values, fields: readonly Field[]) {
  const there = (path: string) => fields.find((field) => field.path === path)?.when?.(values) ?? true
  const text = (path: string) => String(values[path] ?? '').trim()
  const name = text('name')
  const rest = fields.filter(({ path }) => OF_THE_SERVICE.has(path) && there(path))
  const wanted: NewService = {
    name,
    address: text('address'),
    port: Number(values.port),
    mode: values.mode as Mode,
    tls: isHttps(values)
      ? {
          ids: there('certificate_ids') ? [...(values.certificate_ids as readonly string[])] : [],
          min_version: text('min_version'),
        }
      : null,
    pool: isNew(values)
      ? {
          members: pasted(values).members,
          algorithm: text('algorithm'),
          monitors: [...(values.monitor_ids as readonly string[])],
          watch: there('watch') && values.watch === true,
        }
      : { id: String(values.default_pool_id) },
    more: created(rest, values),
  }
  const certificate =
    isHttps(values) && there('chain')
      ? { name, chain: `${text('chain')}\n`, private_key: `${text('private_key')}\n` }
      : null
  return { wanted, certificate }
}

interface Props {
  /** What it begins with, if it is not the usual. */
  initial?: Values
  cancel: () => void
  /** Without asking. */
  close: () => void
  setDirty?: (dirty: boolean) => void
  done: (made: Made) => void
}

/** What was made, and how to make it again. */
export interface Made {
  id: string
  name: string
  calls: readonly ApiCall[]
}

export function ServiceForm({ initial, cancel, close, setDirty, done }: Props) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const fields = useFields()
  const collect = useTray()
  const { data: virtualIps = [] } = useQuery(virtualIpsQuery)
  const callsOf = (values: Values): readonly ApiCall[] => {
    const { wanted, certificate } = read(values, fields)
    return scriptOf(operationsOf(withOwn(wanted, certificate), virtualIps), certificate)
  }
  const submit = async (values: Values) => {
    const { wanted, certificate } = read(values, fields)
    const calls = callsOf(values)
    const { id } = await createService(wanted, virtualIps, certificate)
    await queries.invalidateQueries()
    showToast({ tone: 'up', text: t('toast.created', { name: wanted.name }) })
    done({ id, name: wanted.name, calls })
  }
  const wait = async (values: Values) => {
    await collect(operationsOf(read(values, fields).wanted, virtualIps))
    close()
  }
  const check = (values: Values): Record<string, string> => {
    const [first] = isNew(values) ? pasted(values).faults : []
    return first === undefined ? {} : { members: first }
  }
  return (
    <ResourceForm
      fields={fields}
      initial={{ ...INITIAL, ...initial }}
      submit={submit}
      wait={wait}
      canWait={(values) => read(values, fields).certificate === null}
      check={check}
      label={t('form.create')}
      cancel={cancel}
      setDirty={setDirty}
      calls={callsOf}
      note={t('create.note')}
    >
      {(values) => {
        const found = isNew(values) ? pasted(values).members.length : 0
        return found > 0 && <p className="small dim">{t('create.membersFound', { count: found })}</p>
      }}
    </ResourceForm>
  )
}
