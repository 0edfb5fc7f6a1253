/** A form from its fields. What the server finds wrong is shown at the field that it means. */
import { Button } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { type ReactNode, useEffect, useMemo, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { ApiProblem } from '../../api/problem.ts'
import { useFaultText } from '../faults.ts'
import { ProblemNote } from '../ProblemNote.tsx'
import { ApiCallNote } from './ApiCallNote.tsx'
import type { ApiCall } from './commands.ts'
import { FieldInput } from './FieldInput.tsx'
import { blank, changedFields, type Field, fieldAt, faultsOf, type Values } from './fields.ts'

export interface FormProps {
  fields: readonly Field[]
  initial: Values
  submit: (values: Values) => Promise<unknown>
  /** On the button that sends it. */
  label: string
  /** Puts it beside other changes that are applied together, instead. */
  wait?: ((values: Values) => Promise<unknown>) | undefined
  /** Whether these can; all can if nothing is said. */
  canWait?: ((values: Values) => boolean) | undefined
  cancel: () => void
  /** Told whether there is something to lose. */
  setDirty?: ((dirty: boolean) => void) | undefined
  /** What sending it would be as calls of the API. */
  calls?: ((values: Values) => readonly ApiCall[]) | undefined
  /** Can be sent though nothing was typed. */
  ready?: boolean
  /** Further faults of the values, by field. */
  check?: ((values: Values) => Record<string, string>) | undefined
  /** Below the fields. */
  children?: ((values: Values) => ReactNode) | undefined
  note?: string
}

/** Fields that stand in one line. */
function linesOf(fields: readonly Field[]): Field[][] {
  const lines: Field[][] = []
  for (const field of fields) {
    const last = lines.at(-1)
    if (field.beside === true && last !== undefined) last.push(field)
    else lines.push([field])
  }
  return lines
}

export function ResourceForm(props: FormProps) {
  const {
    fields,
    initial,
    submit,
    label,
    wait,
    canWait,
    cancel,
    setDirty,
    calls,
    ready = false,
    check,
    children,
    note,
  } = props
  const { t } = useTranslation()
  const faultText = useFaultText()
  const [values, setValues] = useState(initial)
  const [faults, setFaults] = useState<Record<string, string>>({})
  const there = fields.filter((field) => field.when?.(values) ?? true)
  const dirty = useMemo(() => changedFields(fields, initial, values).length > 0, [fields, initial, values])
  useEffect(() => setDirty?.(dirty), [dirty, setDirty])

  const form = useRef<HTMLFormElement>(null)
  const onError = (error: Error) => setFaults(placed(error, fields))
  const sending = useMutation({ mutationFn: submit, onError })
  const waiting = useMutation({ mutationFn: async (values: Values) => wait?.(values), onError })
  const failure = sending.error ?? waiting.error
  const send = (by: typeof sending) => {
    const found = { ...faultsOf(fields, values), ...check?.(values) }
    setFaults(found)
    if (Object.keys(found).length === 0) by.mutate(values)
    else if (form.current !== null) focusFirst(form.current, there, found)
  }
  const input = (field: Field) => (
    <div key={field.path} className={`field field-${field.kind}`}>
      <FieldInput
        field={field}
        value={values[field.path] ?? blank(field)}
        set={(value) => {
          setValues((now) => ({ ...now, [field.path]: value }))
          setFaults((now) => Object.fromEntries(Object.entries(now).filter(([path]) => path !== field.path)))
        }}
        error={faultText(faults[field.path])}
        focus={field === there[0]}
      />
    </div>
  )
  const lines = (some: readonly Field[]) =>
    linesOf(some).map((line) => (
      <div key={line[0]?.path} className={line.length > 1 ? 'field-row' : undefined}>
        {line.map(input)}
      </div>
    ))
  const [plain, advanced] = [there.filter((field) => !field.advanced), there.filter((field) => field.advanced)]
  const folded = !advanced.some((field) => faults[field.path] !== undefined)

  return (
    <form
      ref={form}
      className="fields"
      onSubmit={(event) => {
        event.preventDefault()
        send(sending)
      }}
      noValidate
    >
      {failure !== null && <ProblemNote error={failure} unplaced={unplaced(failure, fields)} />}
      {lines(plain)}
      {children?.(values)}
      {advanced.length > 0 && (
        <details className="fold" open={folded ? undefined : true}>
          <summary>{t('form.advanced')}</summary>
          <div className="fields">{lines(advanced)}</div>
        </details>
      )}
      {calls !== undefined && <ApiCallNote calls={() => calls(values)} />}
      {note !== undefined && <p className="note">{note}</p>}
      <div className="form-end">
        <Button variant="default" onClick={cancel}>
          {t('common.cancel')}
        </Button>
        {wait !== undefined && (canWait?.(values) ?? true) && (
          <Button
            variant="default"
            loading={waiting.isPending}
            disabled={!dirty && !ready}
            onClick={() => send(waiting)}
          >
            {t('pending.add')}
          </Button>
        )}
        <Button type="submit" loading={sending.isPending} disabled={!dirty && !ready}>
          {label}
        </Button>
      </div>
    </form>
  )
}

/** The server's faults by field: the words of a code, or else the server's own. */
function placed(error: Error, fields: readonly Field[]): Record<string, string> {
  if (!(error instanceof ApiProblem)) return {}
  return Object.fromEntries(
    error.errors.flatMap(({ pointer, code, detail }) => {
      const field = fieldAt(fields, pointer)
      return field === undefined ? [] : [[field.path, `${code}|${detail}`]]
    }),
  )
}

function unplaced(error: Error, fields: readonly Field[]): string[] {
  if (!(error instanceof ApiProblem)) return []
  const rest = error.errors.filter(({ pointer }) => fieldAt(fields, pointer) === undefined)
  return rest.map(({ pointer, detail }) => `${pointer}: ${detail}`)
}

function focusFirst(form: HTMLFormElement, fields: readonly Field[], faults: Record<string, string>) {
  const first = fields.find(({ path }) => faults[path] !== undefined)
  form.querySelector<HTMLElement>(`[name="${first?.path}"]`)?.focus()
}
