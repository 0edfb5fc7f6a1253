/** The control of one field. */
import {
  Autocomplete,
  Button,
  FileButton,
  NumberInput,
  PasswordInput,
  SegmentedControl,
  Select,
  Switch,
  Textarea,
  TextInput,
} from '@mantine/core'
import { useTranslation } from 'react-i18next'
import type { Field, Value } from './fields.ts'
import { later } from '../later.tsx'

const ManyInput = later(async () => (await import('./ManyInput.tsx')).ManyInput)
const RowsInput = later(async () => (await import('./RowsInput.tsx')).RowsInput)

interface Props {
  field: Field
  value: Value
  set: (value: Value) => void
  error: string | undefined
  focus: boolean
}

/** So many short words stand side by side; more are a list to choose from. */
const SIDE_BY_SIDE = 4

export function FieldInput({ field, value, set, error, focus }: Props) {
  const { t } = useTranslation()
  const help = field.help === undefined ? undefined : t(field.help)
  const common = {
    label: t(field.label),
    description: help,
    withAsterisk: field.required,
    error,
    placeholder: field.placeholder,
    'data-autofocus': focus || undefined,
    name: field.path,
  }
  const text = typeof value === 'string' ? value : ''
  const list = Array.isArray(value) ? [...(value as readonly string[])] : []
  switch (field.kind) {
    case 'text':
    case 'mono':
      return (
        <TextInput
          {...common}
          value={text}
          autoComplete="off"
          spellCheck={field.kind === 'text'}
          classNames={field.kind === 'mono' ? { input: 'mono' } : {}}
          onChange={(event) => set(event.currentTarget.value)}
        />
      )
    case 'secret':
      return (
        <PasswordInput
          {...common}
          value={text}
          autoComplete="new-password"
          visibilityToggleButtonProps={{ 'aria-label': t('signIn.show') }}
          onChange={(event) => set(event.currentTarget.value)}
        />
      )
    case 'suggested':
      return (
        <Autocomplete
          {...common}
          value={text}
          data={[...new Set(field.choices)]}
          autoComplete="off"
          classNames={{ input: 'mono' }}
          onChange={set}
        />
      )
    case 'long':
      return (
        <Textarea {...common} value={text} autosize minRows={2} onChange={(event) => set(event.currentTarget.value)} />
      )
    case 'rows':
      return <RowsInput label={common.label} help={help} error={error} columns={field.columns} value={list} set={set} />
    case 'file':
      return <FileInput common={common} accept={field.accept} text={text} set={set} />
    case 'lines':
      return (
        <Textarea
          {...common}
          value={list.join('\n')}
          rows={4}
          spellCheck={false}
          classNames={{ input: 'mono' }}
          onChange={(event) => set(event.currentTarget.value === '' ? [] : event.currentTarget.value.split('\n'))}
        />
      )
    case 'tags':
    case 'several':
      return (
        <ManyInput common={common} values={list} choices={'choices' in field ? field.choices : undefined} set={set} />
      )
    case 'number':
      return (
        <NumberInput
          {...common}
          value={typeof value === 'number' ? value : ''}
          allowDecimal={field.decimals === true}
          min={field.min}
          max={field.max}
          clampBehavior="none"
          suffix={field.unit === undefined ? undefined : ` ${field.unit}`}
          onChange={(next) => set(typeof next === 'number' ? next : next === '' ? null : Number(next))}
        />
      )
    case 'switch':
    case 'part':
      return (
        <Switch
          label={common.label}
          description={help}
          error={error}
          checked={value === true}
          onChange={(event) => set(event.currentTarget.checked)}
        />
      )
    case 'choice':
      if (field.choices.length <= SIDE_BY_SIDE && !field.optional && field.choices.length > 1) {
        const id = `choice-${field.path}`
        return (
          <div>
            <p className="field-label" id={id}>
              {common.label}
            </p>
            {help !== undefined && <p className="field-help">{help}</p>}
            <SegmentedControl
              fullWidth
              aria-labelledby={id}
              data={[...field.choices]}
              value={text}
              onChange={(next) => set(next)}
            />
            {error !== undefined && <p className="field-error">{error}</p>}
          </div>
        )
      }
      return (
        <Select
          {...common}
          value={text === '' ? null : text}
          data={[...field.choices]}
          searchable={field.choices.length > 8}
          clearable={field.optional === true}
          onChange={set}
          nothingFoundMessage={t('form.nothingFound')}
        />
      )
  }
}

interface FileProps {
  common: {
    label: string
    name: string
    description?: string
    error?: string
    withAsterisk?: boolean
    placeholder?: string
  }
  accept: string
  text: string
  set: (value: Value) => void
}

/** To paste a text, or take it from a file. */
function FileInput({ common, accept, text, set }: FileProps) {
  const { t } = useTranslation()
  return (
    <>
      <Textarea
        {...common}
        value={text}
        rows={4}
        spellCheck={false}
        autoComplete="off"
        classNames={{ input: 'mono small' }}
        onChange={(event) => set(event.currentTarget.value)}
      />
      <FileButton accept={accept} onChange={(file) => void file?.text().then(set)}>
        {(props) => (
          <Button {...props} className="below" variant="default" size="compact-sm">
            {t('form.fromFile', { field: common.label })}
          </Button>
        )}
      </FileButton>
    </>
  )
}
