/** What one's programs sign in with. A token is shown once. */
import { Button } from '@mantine/core'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { IconPlus } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { answer, api, type Schemas } from '../../api/client.ts'
import { firstOf } from '../../api/queries.ts'
import { tokensOf } from '../../api/resources.ts'
import { PERMISSIONS } from '../../resources/accounts.ts'
import { Card } from '../../ui/Card.tsx'
import { date } from '../../ui/format.ts'
import type { Field, Values } from '../../ui/form/fields.ts'
import { FormModal } from '../../ui/form/FormModal.tsx'
import { ResourceForm } from '../../ui/form/ResourceForm.tsx'
import { ShownOnce } from '../../ui/ShownOnce.tsx'
import { useAction } from '../../ui/useAction.ts'

type Token = Schemas['TokenView']

type Permission = Schemas['Permission']

/** What it is called; in texts a colon means something else. */
function useCalled() {
  const { t } = useTranslation()
  return (one: Permission) => t(`permission.${one.replace(':', '_') as 'balancing_read'}`)
}

const DAYS = [7, 30, 90, 365]
const DAY_MS = 86_400_000

export function Tokens({ userId, permissions }: { userId: string; permissions: readonly string[] }) {
  const { t, i18n } = useTranslation()
  const act = useAction()
  const called = useCalled()
  const tokens = tokensOf(userId)
  const { data } = useQuery(firstOf(tokens))
  const [creating, setCreating] = useState(false)
  const revoke = ({ id, name }: Token) =>
    act(async () => tokens.remove(id, (await tokens.read(id)).etag), t('tokens.revoked', { name }))
  return (
    <Card
      title={t('tokens.title')}
      className="list-card"
      aside={
        <Button
          size="compact-sm"
          variant="default"
          leftSection={<IconPlus size={14} />}
          onClick={() => setCreating(true)}
        >
          {t('tokens.create')}
        </Button>
      }
    >
      {data?.items.length === 0 && <p className="dim">{t('tokens.none')}</p>}
      <ul className="rows">
        {data?.items.map((token) => (
          <li key={token.id}>
            <span className="grow">
              <bdi>{token.name}</bdi>{' '}
              <span className="dim">
                {token.permissions.map((one) => called(one)).join(' · ')} ·{' '}
                {t('tokens.until', { time: date(token.expires_at, i18n.language) })}
              </span>
            </span>
            <Button size="compact-sm" variant="default" onClick={() => void revoke(token)}>
              {t('tokens.revoke')}
            </Button>
          </li>
        ))}
      </ul>
      {creating && <CreateToken userId={userId} permissions={permissions} close={() => setCreating(false)} />}
    </Card>
  )
}

interface CreateProps {
  userId: string
  permissions: readonly string[]
  close: () => void
}

function CreateToken({ userId, permissions, close }: CreateProps) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const called = useCalled()
  const [made, setMade] = useState<string | null>(null)
  const fields: readonly Field[] = [
    { path: 'name', kind: 'text', label: 'field.name', required: true },
    {
      path: 'permissions',
      kind: 'several',
      label: 'field.permissions',
      required: true,
      choices: PERMISSIONS.filter((one) => permissions.includes(one)).map((one) => ({
        value: one,
        label: called(one),
      })),
    },
    {
      path: 'days',
      kind: 'choice',
      label: 'field.expires',
      choices: DAYS.map((count) => ({ value: String(count), label: t('tokens.days', { count }) })),
    },
  ]
  const submit = async ({ name, permissions, days }: Values) => {
    const body = {
      name: String(name).trim(),
      permissions: permissions as Permission[],
      expires_at: new Date(Date.now() + Number(days) * DAY_MS).toISOString(),
    }
    const params = { path: { user_id: userId } }
    const { token } = await answer(api.POST('/api/v1/users/{user_id}/tokens', { params, body: body as never }))
    setMade(token)
    await queries.invalidateQueries()
  }
  if (made !== null) return <ShownOnce title={t('tokens.title')} text={t('tokens.once')} secret={made} close={close} />
  return (
    <FormModal title={t('tokens.create')} close={close}>
      {({ cancel, setDirty }) => (
        <ResourceForm
          fields={fields}
          initial={{ name: '', permissions: ['balancing:read'], days: '90' }}
          submit={submit}
          label={t('form.create')}
          cancel={cancel}
          setDirty={setDirty}
        />
      )}
    </FormModal>
  )
}
