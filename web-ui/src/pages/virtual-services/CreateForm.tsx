/** A virtual service, its address and its pool in one form. */
import { Autocomplete, Button, Modal, NumberInput, SegmentedControl, Select, Textarea, TextInput } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Controller, useForm, useWatch } from 'react-hook-form'
import { useTranslation } from 'react-i18next'
import * as z from 'zod/mini'
import { poolsQuery, virtualIpsQuery } from '../../api/queries.ts'
import { placeFaults, useFaultText } from '../../ui/faults.ts'
import { byMeansOf } from '../../ui/formResolver.ts'
import { ProblemNote } from '../../ui/ProblemNote.tsx'
import { showToast } from '../../ui/toasts.ts'
import { createService } from './createService.ts'
import { isAddress, parseMembers } from './parseMembers.ts'

const schema = z
  .object({
    name: z.string().check(z.trim(), z.minLength(1, 'required'), z.maxLength(255, 'name')),
    address: z.string().check(z.trim(), z.minLength(1, 'required'), z.refine(isAddress, 'address')),
    port: z.number('port').check(z.int('port'), z.gte(1, 'port'), z.lte(65535, 'port')),
    poolKind: z.enum(['new', 'existing']),
    poolId: z.nullable(z.string()),
    members: z.string(),
  })
  .check((context) => {
    const { poolKind, poolId, members, port } = context.value
    const fault = (path: string, message: string) =>
      context.issues.push({ code: 'custom', path: [path], message, input: context.value })
    if (poolKind === 'existing' && poolId === null) fault('poolId', 'required')
    if (poolKind === 'new') {
      const [first] = parseMembers(members, port).faults
      if (first !== undefined) fault('members', first)
    }
  })

type Fields = z.infer<typeof schema>

const EMPTY: Fields = { name: '', address: '', port: 80, poolKind: 'new', poolId: null, members: '' }

export function CreateForm({ close, created }: { close: () => void; created: (id: string) => void }) {
  const { t } = useTranslation()
  return (
    <Modal
      opened
      onClose={close}
      title={t('form.title')}
      size={620}
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <FormBody close={close} created={created} />
    </Modal>
  )
}

function FormBody({ close, created }: { close: () => void; created: (id: string) => void }) {
  const { t } = useTranslation()
  const text = useFaultText()
  const queries = useQueryClient()
  const { data: virtualIps = [] } = useQuery(virtualIpsQuery)
  const { data: pools = [] } = useQuery(poolsQuery)
  const form = useForm<Fields>({ defaultValues: EMPTY, resolver: byMeansOf(schema) })
  const { register, control, handleSubmit, setError, formState } = form
  const [kind, members, port] = useWatch({ control, name: ['poolKind', 'members', 'port'] })
  const found = parseMembers(members, port).members.length

  const create = useMutation({
    mutationFn: ({ name, address, port, poolKind, poolId, members }: Fields) => {
      const pool =
        poolKind === 'existing' && poolId !== null ? { id: poolId } : { members: parseMembers(members, port).members }
      return createService({ name, address, port, pool }, virtualIps)
    },
    onSuccess: async (id, { name }) => {
      await queries.invalidateQueries()
      showToast({ tone: 'up', text: t('toast.created', { name }) })
      created(id)
    },
    onError: (error) =>
      placeFaults(error, setError, {
        '/name': 'name',
        '/address': 'address',
        '/port': 'port',
        '/virtual_ip_ids': 'address',
      }),
  })
  const { errors } = formState

  return (
    <form className="fields" onSubmit={handleSubmit((fields) => create.mutate(fields))} noValidate>
      {create.error !== null && <ProblemNote error={create.error} />}
      <TextInput
        label={t('form.name')}
        description={t('form.nameHelp')}
        withAsterisk
        data-autofocus
        autoComplete="off"
        error={text(errors.name?.message)}
        {...register('name')}
      />
      <div className="field-row">
        <Controller
          control={control}
          name="address"
          render={({ field }) => (
            <Autocomplete
              label={t('form.virtualIp')}
              description={t('form.virtualIpHelp')}
              withAsterisk
              classNames={{ input: 'mono', root: 'grow' }}
              data={virtualIps.map(({ address }) => address)}
              error={text(errors.address?.message)}
              {...field}
            />
          )}
        />
        <Controller
          control={control}
          name="port"
          render={({ field }) => (
            <NumberInput
              label={t('form.port')}
              withAsterisk
              min={1}
              max={65535}
              allowDecimal={false}
              clampBehavior="none"
              classNames={{ root: 'port-field' }}
              error={text(errors.port?.message)}
              {...field}
              onChange={(value) => field.onChange(typeof value === 'number' ? value : Number.NaN)}
            />
          )}
        />
      </div>
      <Controller
        control={control}
        name="poolKind"
        render={({ field }) => (
          <div>
            <p className="field-label" id="pool-kind">
              {t('form.pool')}
            </p>
            <SegmentedControl
              fullWidth
              aria-labelledby="pool-kind"
              data={[
                { value: 'new', label: t('form.newPool') },
                { value: 'existing', label: t('form.existingPool'), disabled: pools.length === 0 },
              ]}
              {...field}
            />
          </div>
        )}
      />
      {kind === 'new' ? (
        <Textarea
          label={found === 0 ? t('form.members') : t('form.membersFound', { count: found })}
          description={t('form.membersHelp')}
          placeholder={'198.51.100.11:8080\n198.51.100.12:8080'}
          rows={5}
          spellCheck={false}
          classNames={{ input: 'mono' }}
          error={text(errors.members?.message)}
          {...register('members')}
        />
      ) : (
        <Controller
          control={control}
          name="poolId"
          render={({ field }) => (
            <Select
              label={t('form.choosePool')}
              data={pools.map(({ id, name }) => ({ value: id, label: name }))}
              searchable
              error={text(errors.poolId?.message)}
              {...field}
            />
          )}
        />
      )}
      <p className="note">{t('form.note')}</p>
      <div className="form-end">
        <Button variant="default" onClick={close}>
          {t('common.cancel')}
        </Button>
        <Button type="submit" loading={create.isPending}>
          {t('form.submit')}
        </Button>
      </div>
    </form>
  )
}
