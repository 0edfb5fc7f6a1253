/** Which keys there are, and whether they are wanted. */
import { Modal, Switch } from '@mantine/core'
import { useTranslation } from 'react-i18next'
import type { TextKey } from '../i18n/index.ts'
import { setKeysOn, useKeysOn } from '../ui/keys.ts'
import { PLACES } from './places.ts'

const KEYS: readonly (readonly [readonly string[], TextKey])[] = [
  [['Ctrl', 'K'], 'keys.palette'],
  [['/'], 'keys.filter'],
  [['j'], 'keys.next'],
  [['k'], 'keys.previous'],
  [['Enter'], 'keys.open'],
  [['Space'], 'keys.select'],
  [['n'], 'keys.create'],
  [['e'], 'keys.edit'],
  [['z'], 'keys.undo'],
  [['Esc'], 'keys.close'],
  [['?'], 'keys.help'],
]

export function KeyHelp({ close }: { close: () => void }) {
  const { t } = useTranslation()
  const on = useKeysOn()
  return (
    <Modal
      opened
      onClose={close}
      title={t('keys.title')}
      size={560}
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <div className="key-help">
        <dl>
          {KEYS.map(([pressed, text]) => (
            <Pressed key={text} pressed={pressed} text={t(text)} />
          ))}
        </dl>
        <dl>
          {PLACES.map(({ key, label }) => (
            <Pressed key={key} pressed={['g', key]} text={t(label)} />
          ))}
        </dl>
      </div>
      <Switch
        label={t('keys.on')}
        description={t('keys.onHelp')}
        checked={on}
        onChange={(event) => setKeysOn(event.currentTarget.checked)}
      />
    </Modal>
  )
}

function Pressed({ pressed, text }: { pressed: readonly string[]; text: string }) {
  return (
    <div>
      <dt>
        {pressed.map((key) => (
          <kbd key={key}>{key}</kbd>
        ))}
      </dt>
      <dd>{text}</dd>
    </div>
  )
}
