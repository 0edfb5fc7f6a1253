/** Two people changed the same thing: what both began with, what each made of it, and who decides. */
import { Button, SegmentedControl } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { ProblemNote } from '../ProblemNote.tsx'
import { Glyph } from '../Status.tsx'
import { changedFields, compared, type Difference, type Field, type Value, type Values } from './fields.ts'

interface Props {
  fields: readonly Field[]
  base: Values
  mine: Values
  theirs: Values
  cancel: () => void
  resolve: (values: Values) => Promise<unknown>
}

type Side = 'mine' | 'theirs'

export function Conflict({ fields, base, mine, theirs, cancel, resolve }: Props) {
  const { t } = useTranslation()
  const [chosen, setChosen] = useState<Record<string, Side>>({})
  const { both, theirs: elsewhere } = useMemo(() => compared(fields, base, mine, theirs), [fields, base, mine, theirs])
  const result = (): Values => {
    const own = changedFields(fields, base, mine).filter(({ path }) => chosen[path] !== 'theirs')
    return { ...theirs, ...Object.fromEntries(own.map(({ path }) => [path, mine[path] ?? null])) }
  }
  const saving = useMutation({ mutationFn: resolve })
  return (
    <div className="fields">
      <p className="note degraded" role="alert">
        <Glyph tone="degraded" size={16} />
        <span>{both.length === 0 ? t('conflict.elsewhere') : t('conflict.text')}</span>
      </p>
      {saving.error !== null && <ProblemNote error={saving.error} />}
      {both.map((difference) => (
        <Decision
          key={difference.field.path}
          difference={difference}
          side={chosen[difference.field.path] ?? 'mine'}
          choose={(side) => setChosen((now) => ({ ...now, [difference.field.path]: side }))}
        />
      ))}
      {elsewhere.length > 0 && (
        <section aria-label={t('conflict.kept')}>
          <p className="field-label">{t('conflict.kept')}</p>
          <dl className="changes">
            {elsewhere.map(({ field, base, theirs }) => (
              <div key={field.path}>
                <dt>{t(field.label)}</dt>
                <dd>
                  <Shown field={field} value={base} tone="was" /> → <Shown field={field} value={theirs} tone="is" />
                </dd>
              </div>
            ))}
          </dl>
        </section>
      )}
      <div className="form-end">
        <Button variant="default" onClick={cancel}>
          {t('common.cancel')}
        </Button>
        <Button loading={saving.isPending} onClick={() => saving.mutate(result())}>
          {t('conflict.save')}
        </Button>
      </div>
    </div>
  )
}

interface DecisionProps {
  difference: Difference
  side: Side
  choose: (side: Side) => void
}

function Decision({ difference: { field, base, mine, theirs }, side, choose }: DecisionProps) {
  const { t } = useTranslation()
  return (
    <section className="decision" aria-label={t(field.label)}>
      <p className="field-label">{t(field.label)}</p>
      <dl className="three">
        {(
          [
            ['conflict.base', base, 'was'],
            ['conflict.mine', mine, side === 'mine' ? 'is' : 'plain'],
            ['conflict.theirs', theirs, side === 'theirs' ? 'is' : 'plain'],
          ] as const
        ).map(([word, value, tone]) => (
          <div key={word}>
            <dt>{t(word)}</dt>
            <dd>
              <Shown field={field} value={value} tone={tone} />
            </dd>
          </div>
        ))}
      </dl>
      <SegmentedControl
        size="xs"
        aria-label={t('conflict.choose', { field: t(field.label) })}
        value={side}
        onChange={(value) => choose(value as Side)}
        data={[
          { value: 'mine', label: t('conflict.takeMine') },
          { value: 'theirs', label: t('conflict.takeTheirs') },
        ]}
      />
    </section>
  )
}

/** A value in words. */
function Shown({ field, value, tone }: { field: Field; value: Value; tone: 'was' | 'is' | 'plain' }) {
  const { t } = useTranslation()
  const word = (one: unknown) =>
    'choices' in field
      ? (field.choices.map((c) => (typeof c === 'string' ? null : c)).find((c) => c?.value === one)?.label ??
        String(one))
      : String(one)
  const text =
    value === null || value === '' || (Array.isArray(value) && value.length === 0)
      ? t('common.none')
      : Array.isArray(value)
        ? value.map(word).join(', ')
        : typeof value === 'boolean'
          ? t(value ? 'common.yes' : 'common.no')
          : word(value)
  return <span className={`value ${tone}`}>{text}</span>
}
