/** The first run: the one-time code and the administrator. */
import { Button, PasswordInput, TextInput } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { answer, api, type Schemas } from '../../api/client.ts'
import { ApiProblem } from '../../api/problem.ts'
import { useFaultText } from '../../ui/faults.ts'
import { FrontDoor } from '../../ui/FrontDoor.tsx'
import { ProblemNote } from '../../ui/ProblemNote.tsx'

type Claim = Schemas['Claim']

export function ClaimPage() {
  const { t } = useTranslation()
  const faultText = useFaultText()
  const queries = useQueryClient()
  const navigate = useNavigate()
  const [values, setValues] = useState<Claim>({ code: '', username: 'admin', password: '' })
  const claim = useMutation({
    mutationFn: (body: Claim) => answer(api.POST('/api/v1/claim', { body })),
    onSuccess: async () => {
      await navigate({ to: '/start' })
      await queries.invalidateQueries()
    },
  })
  const field = (name: keyof Claim) => {
    const fault =
      claim.error instanceof ApiProblem ? claim.error.errors.find(({ pointer }) => pointer === `/${name}`) : undefined
    return {
      name,
      value: values[name],
      error: faultText(fault && `${fault.code}|${fault.detail}`),
      onChange: (event: React.ChangeEvent<HTMLInputElement>) => {
        const { value } = event.currentTarget
        setValues((now) => ({ ...now, [name]: value }))
      },
    }
  }
  return (
    <FrontDoor title={t('claim.title')} lead={t('claim.lead')}>
      <form
        className="fields"
        onSubmit={(event) => {
          event.preventDefault()
          claim.mutate(values)
        }}
      >
        {claim.error !== null && <ProblemNote error={claim.error} />}
        <TextInput
          label={t('claim.code')}
          description={t('claim.codeHelp')}
          placeholder="XXXX-XXXX-XXXX-XXXX-XXXX"
          classNames={{ input: 'mono' }}
          autoComplete="off"
          spellCheck={false}
          {...field('code')}
        />
        <TextInput label={t('claim.username')} autoComplete="username" {...field('username')} />
        <PasswordInput
          label={t('claim.password')}
          description={t('claim.passwordHelp')}
          autoComplete="new-password"
          visibilityToggleButtonProps={{ 'aria-label': t('signIn.show') }}
          {...field('password')}
        />
        <Button type="submit" fullWidth loading={claim.isPending}>
          {t('claim.submit')}
        </Button>
      </form>
    </FrontDoor>
  )
}
