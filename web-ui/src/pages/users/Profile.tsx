/** What belongs to who is signed in: the password, and where else they are signed in. */
import { Button, PasswordInput } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { answer, api } from '../../api/client.ts'
import { sessionQuery } from '../../api/queries.ts'
import { ApiProblem } from '../../api/problem.ts'
import { Card } from '../../ui/Card.tsx'
import { useFaultText } from '../../ui/faults.ts'
import { dateTime } from '../../ui/format.ts'
import { ProblemNote } from '../../ui/ProblemNote.tsx'
import { useAction } from '../../ui/useAction.ts'
import { SecondFactor } from './SecondFactor.tsx'
import { Tokens } from './Tokens.tsx'

export function Profile() {
  const { t } = useTranslation()
  const { data: session } = useQuery(sessionQuery)
  return (
    <>
      <div className="page-head">
        <h1>{t('profile.title')}</h1>
        {session !== undefined && (
          <span className="dim">
            <bdi>{session.username}</bdi> · {t(`role.${session.role}`)}
          </span>
        )}
      </div>
      <div className="stack">
        <Sessions />
        {session !== undefined && <Tokens userId={session.user_id} permissions={session.permissions} />}
        <SecondFactor />
        <Password />
      </div>
    </>
  )
}

function Sessions() {
  const { t, i18n } = useTranslation()
  const act = useAction()
  const { data } = useQuery({
    queryKey: ['sessions'],
    queryFn: ({ signal }) => answer(api.GET('/api/v1/sessions', { signal })),
    refetchInterval: 10_000,
  })
  const end = (id: string) =>
    act(() => answer(api.DELETE('/api/v1/sessions/{id}', { params: { path: { id } } })), t('profile.ended'))
  return (
    <Card title={t('profile.sessions')} className="list-card">
      <ul className="rows">
        {data?.items.map(({ id, username, source, carrier, used_at, current }) => (
          <li key={id}>
            <span className="grow">
              <bdi>{username}</bdi>{' '}
              <span className="dim">
                {carrier === 'penstock-console' ? t('profile.browser') : t('profile.program')}
                {source !== null && <span className="mono"> {source}</span>} · {t('profile.used')}{' '}
                {dateTime(used_at, i18n.language)}
              </span>
            </span>
            {current ? (
              <span className="tag">{t('profile.thisOne')}</span>
            ) : (
              <Button size="compact-sm" variant="default" onClick={() => void end(id)}>
                {t('profile.end')}
              </Button>
            )}
          </li>
        ))}
      </ul>
    </Card>
  )
}

function Password() {
  const { t } = useTranslation()
  const faultText = useFaultText()
  const queries = useQueryClient()
  const [values, setValues] = useState({ password: '', new_password: '' })
  const change = useMutation({
    mutationFn: () => answer(api.POST('/api/v1/password', { body: values })),
    // All sessions are over, this one too: the gate asks for the new password.
    onSuccess: () => queries.invalidateQueries(),
  })
  const field = (name: keyof typeof values) => {
    const fault =
      change.error instanceof ApiProblem ? change.error.errors.find(({ pointer }) => pointer === `/${name}`) : undefined
    return {
      value: values[name],
      error: faultText(fault && `${fault.code}|${fault.detail}`),
      visibilityToggleButtonProps: { 'aria-label': t('signIn.show') },
      onChange: (event: React.ChangeEvent<HTMLInputElement>) => {
        const { value } = event.currentTarget
        setValues((now) => ({ ...now, [name]: value }))
      },
    }
  }
  return (
    <Card title={t('profile.password')} className="form-card">
      <form
        className="fields"
        onSubmit={(event) => {
          event.preventDefault()
          change.mutate()
        }}
      >
        {change.error !== null && <ProblemNote error={change.error} />}
        <PasswordInput label={t('profile.now')} autoComplete="current-password" {...field('password')} />
        <PasswordInput
          label={t('profile.next')}
          description={t('claim.passwordHelp')}
          autoComplete="new-password"
          {...field('new_password')}
        />
        <div className="form-end">
          <Button
            type="submit"
            loading={change.isPending}
            disabled={values.password === '' || values.new_password === ''}
          >
            {t('profile.change')}
          </Button>
        </div>
        <p className="note">{t('profile.changeNote')}</p>
      </form>
    </Card>
  )
}
