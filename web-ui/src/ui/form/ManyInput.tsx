/** Several values in one field: what people write themselves, or choose. What these need is much, and loaded with the first of them. */
import { MultiSelect, TagsInput } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import type { Choice } from './fields.ts'

interface Props {
  common: { label: string; name: string }
  values: string[]
  /** Of which one chooses; without them anything can be written. */
  choices?: readonly Choice[] | undefined
  set: (values: string[]) => void
}

export function ManyInput({ common, values, choices, set }: Props) {
  const { t } = useTranslation()
  if (choices === undefined) return <TagsInput {...common} value={values} onChange={set} clearable={false} />
  return (
    <MultiSelect
      {...common}
      value={values}
      data={[...choices]}
      searchable
      hidePickedOptions
      onChange={set}
      nothingFoundMessage={t('form.nothingFound')}
    />
  )
}
