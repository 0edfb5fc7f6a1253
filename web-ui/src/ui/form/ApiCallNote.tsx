/** The same as calls of the API or as commands, to paste into a script. */
import { Button, SegmentedControl } from '@mantine/core'
import { IconCheck, IconCopy } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { type ApiCall, asCommands, asCurl } from './commands.ts'

export function ApiCallNote({ calls, opened = false }: { calls: () => readonly ApiCall[]; opened?: boolean }) {
  const { t } = useTranslation()
  const [open, setOpen] = useState(opened)
  const [copied, setCopied] = useState(false)
  const [way, setWay] = useState<'curl' | 'penstock'>('curl')
  const text = () => (way === 'curl' ? asCurl(calls()) : asCommands(calls()))
  const copy = () => {
    void navigator.clipboard.writeText(text()).then(() => setCopied(true))
    setTimeout(() => setCopied(false), 2000)
  }
  return (
    <details className="fold" open={opened || undefined} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{t('form.asApiCall')}</summary>
      {open && (
        <div className="code-box">
          <div className="tools">
            <SegmentedControl
              size="xs"
              aria-label={t('form.asCommand')}
              value={way}
              onChange={(next) => setWay(next as 'curl' | 'penstock')}
              data={['curl', 'penstock']}
            />
            <span className="spring" />
            <Button
              size="compact-sm"
              variant="default"
              leftSection={copied ? <IconCheck size={14} /> : <IconCopy size={14} />}
              onClick={copy}
            >
              {copied ? t('form.copied') : t('form.copy')}
            </Button>
          </div>
          <pre className="mono" tabIndex={0} aria-label={t('form.asApiCall')}>
            {text()}
          </pre>
        </div>
      )}
    </details>
  )
}
