/**
 * The machine's name, time, log and network. What is changed is on trial until somebody keeps it: who locks themselves out has
 * only to wait.
 */
import { Button } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { answer, answerWithTag, api, type Schemas } from '../../api/client.ts'
import { isProblem } from '../../api/problem.ts'
import { useMay } from '../../app/usePermission.ts'
import { interfaceFields, MACHINE, SYSLOG } from '../../resources/settings.ts'
import { Card } from '../../ui/Card.tsx'
import { Empty } from '../../ui/Empty.tsx'
import { type Field, patched, type Values, valuesOf } from '../../ui/form/fields.ts'
import { ResourceForm } from '../../ui/form/ResourceForm.tsx'
import { ProblemNote } from '../../ui/ProblemNote.tsx'
import { Glyph } from '../../ui/Status.tsx'
import { showToast } from '../../ui/toasts.ts'

type View = Schemas['SettingsView']
interface Version {
  data: View
  etag: string
}

const KEY = ['settings']
const URL = '/api/v1/system/settings'
const TRIAL_S = 120

export function Settings() {
  const { t } = useTranslation()
  const may = useMay()
  const { data, error, refetch } = useQuery({
    queryKey: KEY,
    queryFn: ({ signal }) => answerWithTag(api.GET(URL, { signal })),
    refetchInterval: ({ state }) => (typeof state.data?.data.reverts_in_s === 'number' ? 1000 : 10_000),
    retry: (failures, error) => failures < 2 && !isProblem(error, 'not_possible_now'),
  })
  // What somebody is typing into stays as it was read.
  const [typing, setTyping] = useState<ReadonlySet<string>>(new Set())
  const [shown, setShown] = useState<Version | undefined>(undefined)
  if (data !== undefined && data.etag !== shown?.etag && typing.size === 0) setShown(data)
  const elsewhere = isProblem(error, 'not_possible_now')
  const readOnly = may('system:write') ? undefined : t('system.readOnly')
  const setDirty = (name: string) => (dirty: boolean) =>
    setTyping((now) => {
      if (now.has(name) === dirty) return now
      const next = new Set(now)
      if (dirty) next.add(name)
      else next.delete(name)
      return next
    })
  const form = (name: string, title: string, fields: readonly Field[]) =>
    shown && (
      <Card key={name} title={title}>
        <Form key={shown.etag} fields={fields} version={shown} readOnly={readOnly} setDirty={setDirty(name)} />
      </Card>
    )
  return (
    <>
      <div className="page-head">
        <h1>{t('nav.settings')}</h1>
      </div>
      <div className="stack wide">
        {elsewhere && (
          <section className="card">
            <Empty title={t('settings.elsewhere')} help={t('settings.elsewhereHelp')} />
          </section>
        )}
        {error !== null && !elsewhere && <ProblemNote error={error} retry={() => void refetch()} />}
        {data !== undefined && error === null && <Trial view={data.data} readOnly={readOnly} />}
        {shown !== undefined && !elsewhere && (
          <>
            <p className="note">{t('settings.note', { seconds: TRIAL_S })}</p>
            {form('machine', t('settings.machine'), MACHINE)}
            {Object.keys(shown.data.settings.interfaces).map((name) =>
              form(name, name === 'management' ? t('settings.management') : name, interfaceFields(name)),
            )}
            {form('syslog', t('settings.log'), SYSLOG)}
          </>
        )}
      </div>
    </>
  )
}

interface FormProps {
  fields: readonly Field[]
  version: Version
  readOnly: string | undefined
  setDirty: (dirty: boolean) => void
}

function Form({ fields, version: { data, etag }, readOnly, setDirty }: FormProps) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const before = valuesOf(fields, data.settings)
  const [round, setRound] = useState(0)
  const submit = async (values: Values) => {
    const body = patched(fields, before, values)
    const params = { header: { 'If-Match': etag }, query: { confirm_within: TRIAL_S } }
    await answer(api.PATCH(URL, { params, body: body as Schemas['SettingsPatch'] }))
    setDirty(false)
    await queries.invalidateQueries({ queryKey: KEY })
    showToast({ tone: 'degraded', text: t('settings.tried') })
  }
  return (
    <fieldset className="row-set" disabled={readOnly !== undefined} title={readOnly}>
      <ResourceForm
        key={round}
        fields={fields}
        initial={before}
        submit={submit}
        label={t('settings.try')}
        cancel={() => {
          setDirty(false)
          setRound((now) => now + 1)
        }}
        setDirty={setDirty}
        calls={(values) => [{ method: 'PATCH', url: URL, body: patched(fields, before, values), etag }]}
      />
    </fieldset>
  )
}

/** The settings are not kept yet: so long there is to keep them, from the address that they gave. */
function Trial({ view: { settings, reverts_in_s }, readOnly }: { view: View; readOnly: string | undefined }) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const keeping = useMutation({
    mutationFn: () => answer(api.POST('/api/v1/system/settings/confirm')),
    onSuccess: () => {
      showToast({ tone: 'up', text: t('settings.kept') })
      return queries.invalidateQueries({ queryKey: KEY })
    },
  })
  if (reverts_in_s === null) return null
  const [host] = settings.interfaces.management?.address?.split('/') ?? []
  const moved = host !== undefined && host !== location.hostname
  return (
    <section className="banner" aria-label={t('settings.trial')}>
      <Glyph tone="degraded" size={16} />
      <span className="grow">
        <b>{t('settings.trial')}</b> <span role="timer">{t('settings.left', { seconds: reverts_in_s })}</span>{' '}
        {moved && (
          <a href={`${location.protocol}//${host}${location.port && `:${location.port}`}/settings`}>
            {t('settings.moved', { host })}
          </a>
        )}
      </span>
      {keeping.error !== null && <ProblemNote error={keeping.error} />}
      <Button
        size="compact-sm"
        disabled={readOnly !== undefined || keeping.isPending}
        title={readOnly}
        onClick={() => keeping.mutate()}
      >
        {t('unconfirmed.confirm')}
      </Button>
    </section>
  )
}
