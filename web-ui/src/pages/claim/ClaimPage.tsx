/** The first run: the one-time code and the administrator. */
import { Button, PasswordInput, TextInput } from '@mantine/core'
import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useForm } from 'react-hook-form'
import { useTranslation } from 'react-i18next'
import { answer, api, type Schemas } from '../../api/client.ts'
import { placeFaults, useFaultText } from '../../ui/faults.ts'
import { FrontDoor } from '../../ui/FrontDoor.tsx'
import { ProblemNote } from '../../ui/ProblemNote.tsx'

type Claim = Schemas['Claim']

export function ClaimPage() {
  const { t } = useTranslation()
  const text = useFaultText()
  const queries = useQueryClient()
  const { register, handleSubmit, setError, formState } = useForm<Claim>({
    defaultValues: { code: '', username: 'admin', password: '' },
  })
  const claim = useMutation({
    mutationFn: (body: Claim) => answer(api.POST('/api/v1/claim', { body })),
    onSuccess: () => queries.invalidateQueries(),
    onError: (error) =>
      placeFaults(error, setError, { '/code': 'code', '/username': 'username', '/password': 'password' }),
  })
  const { errors } = formState
  return (
    <FrontDoor title={t('claim.title')} lead={t('claim.lead')}>
      <form className="fields" onSubmit={handleSubmit((body) => claim.mutate(body))}>
        {claim.error !== null && <ProblemNote error={claim.error} />}
        <TextInput
          label={t('claim.code')}
          description={t('claim.codeHelp')}
          placeholder="XXXX-XXXX-XXXX-XXXX-XXXX"
          classNames={{ input: 'mono' }}
          autoComplete="off"
          spellCheck={false}
          error={text(errors.code?.message)}
          {...register('code')}
        />
        <TextInput
          label={t('claim.username')}
          autoComplete="username"
          error={text(errors.username?.message)}
          {...register('username')}
        />
        <PasswordInput
          label={t('claim.password')}
          description={t('claim.passwordHelp')}
          autoComplete="new-password"
          visibilityToggleButtonProps={{ 'aria-label': t('signIn.show') }}
          error={text(errors.password?.message)}
          {...register('password')}
        />
        <Button type="submit" fullWidth loading={claim.isPending}>
          {t('claim.submit')}
        </Button>
      </form>
    </FrontDoor>
  )
}
