import { Button, PasswordInput, TextInput } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { answer, api } from '../../api/client.ts'
import { isProblem } from '../../api/problem.ts'
import { FrontDoor } from '../../ui/FrontDoor.tsx'
import { ProblemNote } from '../../ui/ProblemNote.tsx'

export function SignInPage() {
  const { t } = useTranslation()
  return (
    <FrontDoor title={t('signIn.title')}>
      <SignInForm />
    </FrontDoor>
  )
}

/** Whether the password was right and a second factor is wanted too. */
function asksForCode(error: Error) {
  return isProblem(error, 'second_factor_required')
}

/** `username` is who was signed in here before. */
export function SignInForm({ lead, username = '' }: { lead?: string; username?: string }) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const [name, setName] = useState(username)
  const [password, setPassword] = useState('')
  const [code, setCode] = useState<string>()
  const signIn = useMutation({
    mutationFn: (body: { username: string; password: string; code: string | null }) =>
      answer(api.POST('/api/v1/sessions', { body })),
    onSuccess: () => queries.invalidateQueries(),
    onError: (error) => {
      if (asksForCode(error)) setCode((typed) => typed ?? '')
    },
  })
  return (
    <form
      className="fields"
      onSubmit={(event) => {
        event.preventDefault()
        signIn.mutate({ username: name, password, code: code === undefined || code === '' ? null : code })
      }}
    >
      {lead !== undefined && <p className="lead">{lead}</p>}
      {signIn.error !== null && !asksForCode(signIn.error) && <ProblemNote error={signIn.error} />}
      <TextInput
        label={t('signIn.username')}
        autoComplete="username"
        data-autofocus={username === '' || undefined}
        value={name}
        onChange={(event) => setName(event.currentTarget.value)}
      />
      <PasswordInput
        label={t('signIn.password')}
        autoComplete="current-password"
        data-autofocus={username !== '' || undefined}
        visibilityToggleButtonProps={{ 'aria-label': t('signIn.show') }}
        value={password}
        onChange={(event) => setPassword(event.currentTarget.value)}
      />
      {code !== undefined && (
        <TextInput
          label={t('signIn.code')}
          description={t('signIn.codeHint')}
          autoComplete="one-time-code"
          autoFocus
          value={code}
          onChange={(event) => setCode(event.currentTarget.value)}
        />
      )}
      <Button type="submit" fullWidth loading={signIn.isPending}>
        {t('signIn.submit')}
      </Button>
    </form>
  )
}
