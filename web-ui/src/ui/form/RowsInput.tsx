/** A list of small things, each with a few values, whose order matters: it is moved by buttons, so also by keys. */
import { ActionIcon, Button, NumberInput, Select, Switch, TagsInput, TextInput } from '@mantine/core'
import { IconArrowDown, IconArrowUp, IconPlus, IconTrash } from '@tabler/icons-react'
import { useTranslation } from 'react-i18next'
import type { RowColumn, Value } from './fields.ts'

type Row = Record<string, unknown>

interface Props {
  label: string
  help: string | undefined
  error: string | undefined
  columns: readonly RowColumn[]
  /** Each as JSON. */
  value: readonly string[]
  set: (value: Value) => void
}

export function RowsInput({ label, help, error, columns, value, set }: Props) {
  const { t } = useTranslation()
  const rows = value.map((text) => JSON.parse(text) as Row)
  const write = (next: readonly Row[]) => set(next.map((row) => JSON.stringify(row)))
  const move = (from: number, by: number) => {
    const next = [...rows]
    const [row] = next.splice(from, 1)
    if (row !== undefined) next.splice(from + by, 0, row)
    write(next)
  }
  const fresh = () =>
    Object.fromEntries(columns.flatMap(({ key, first }) => (first === undefined ? [] : [[key, first]])))
  return (
    <fieldset className="row-set">
      <legend className="field-label">{label}</legend>
      {help !== undefined && <p className="field-help">{help}</p>}
      {rows.map((row, index) => (
        // Rows have no identity but their place.
        <div key={index} className="row-item">
          {columns
            .filter(({ when }) => when?.(row) ?? true)
            .map((column) => (
              <Cell
                key={column.key}
                column={column}
                value={row[column.key]}
                set={(next) => write(rows.map((one, at) => (at === index ? { ...one, [column.key]: next } : one)))}
              />
            ))}
          <span className="row-tools">
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label={t('rows.up', { n: index + 1 })}
              disabled={index === 0}
              onClick={() => move(index, -1)}
            >
              <IconArrowUp size={16} />
            </ActionIcon>
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label={t('rows.down', { n: index + 1 })}
              disabled={index === rows.length - 1}
              onClick={() => move(index, 1)}
            >
              <IconArrowDown size={16} />
            </ActionIcon>
            <ActionIcon
              variant="subtle"
              color="gray"
              aria-label={t('rows.remove', { n: index + 1 })}
              onClick={() => write(rows.filter((_, at) => at !== index))}
            >
              <IconTrash size={16} />
            </ActionIcon>
          </span>
        </div>
      ))}
      {error !== undefined && <p className="field-error">{error}</p>}
      <Button
        size="compact-sm"
        variant="default"
        leftSection={<IconPlus size={14} />}
        onClick={() => write([...rows, fresh()])}
      >
        {t('rows.add', { what: label })}
      </Button>
    </fieldset>
  )
}

function Cell({ column, value, set }: { column: RowColumn; value: unknown; set: (value: unknown) => void }) {
  const { t } = useTranslation()
  const label = t(column.label)
  switch (column.kind) {
    case 'choice':
      return (
        <Select
          label={label}
          data={[...(column.choices ?? [])]}
          value={(value as string | null | undefined) ?? null}
          allowDeselect={false}
          onChange={set}
        />
      )
    case 'number':
      return (
        <NumberInput
          label={label}
          min={0}
          allowDecimal={false}
          value={typeof value === 'number' ? value : ''}
          onChange={(next) => set(typeof next === 'number' ? next : null)}
        />
      )
    case 'tags':
      return (
        <TagsInput label={label} className="row-wide" value={(value as string[] | undefined) ?? []} onChange={set} />
      )
    case 'switch':
      return <Switch label={label} checked={value === true} onChange={(event) => set(event.currentTarget.checked)} />
    case 'text':
      return (
        <TextInput
          label={label}
          classNames={{ input: 'mono' }}
          autoComplete="off"
          spellCheck={false}
          value={(value as string | null | undefined) ?? ''}
          onChange={(event) => set(event.currentTarget.value || null)}
        />
      )
  }
}
