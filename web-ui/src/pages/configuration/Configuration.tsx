/** The whole configuration: to keep it elsewhere, and to bring it back. */
import { Button, FileButton, SegmentedControl, Switch, Textarea } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { IconDownload, IconFileUpload } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { answerWithTag, api } from '../../api/client.ts'
import { exported, type Format, replaceAll } from '../../api/configuration.ts'
import { useReadOnly } from '../../app/usePermission.ts'
import { ApplyPanel } from '../../pending/ApplyPanel.tsx'
import { Card } from '../../ui/Card.tsx'
import { download } from '../../ui/download.ts'
import { useAction } from '../../ui/useAction.ts'

export function Configuration() {
  const { t } = useTranslation()
  return (
    <>
      <div className="page-head">
        <h1>{t('nav.configuration')}</h1>
      </div>
      <div className="stack wide">
        <Export />
        <Import />
      </div>
    </>
  )
}

function Export() {
  const { t } = useTranslation()
  const act = useAction()
  const [format, setFormat] = useState<Format>('yaml')
  const [ids, setIds] = useState(false)
  const save = () =>
    act(async () => {
      const stamp = new Date().toISOString().slice(0, 16).replaceAll(':', '-')
      download(`penstock-${stamp}.${format}`, await exported(format, ids), 'text/plain;charset=utf-8')
    }, t('configuration.exported'))
  return (
    <Card title={t('configuration.export')}>
      <div className="fields">
        <p className="dim">{t('configuration.exportHelp')}</p>
        <div className="tools">
          <SegmentedControl
            aria-label={t('configuration.format')}
            value={format}
            onChange={(value) => setFormat(value as Format)}
            data={[
              { value: 'yaml', label: 'YAML' },
              { value: 'json', label: 'JSON' },
            ]}
          />
          <Switch
            label={t('configuration.ids')}
            checked={ids}
            onChange={(event) => setIds(event.currentTarget.checked)}
          />
          <span className="spring" />
          <Button leftSection={<IconDownload size={16} />} onClick={() => void save()}>
            {t('configuration.download')}
          </Button>
        </div>
      </div>
    </Card>
  )
}

function Import() {
  const { t } = useTranslation()
  const readOnly = useReadOnly()
  const [text, setText] = useState('')
  // Everything would be replaced, so it must still be what the dry run has seen.
  const trying = useMutation({
    mutationFn: async (text: string) => {
      const { etag } = await answerWithTag(api.GET('/api/v1/config'))
      return { text, etag, preview: (await replaceAll(text, etag, { dry_run: true })).data }
    },
  })
  const change = (next: string) => {
    setText(next)
    trying.reset()
  }
  const apply = trying.data
  return (
    <Card title={t('configuration.import')}>
      <div className="fields">
        <p className="dim">{t('configuration.importHelp')}</p>
        <Textarea
          label={t('configuration.document')}
          classNames={{ input: 'mono' }}
          rows={10}
          spellCheck={false}
          value={text}
          placeholder={'virtual_ips:\n  - name: shop\n    address: 192.0.2.10'}
          onChange={(event) => change(event.currentTarget.value)}
        />
        <div className="tools">
          <FileButton accept=".json,.yaml,.yml,.txt" onChange={(file) => void file?.text().then(change)}>
            {(props) => (
              <Button {...props} variant="default" leftSection={<IconFileUpload size={16} />}>
                {t('configuration.choose')}
              </Button>
            )}
          </FileButton>
          <span className="spring" />
          <Button
            loading={trying.isPending}
            disabled={text.trim() === '' || readOnly !== undefined}
            title={readOnly}
            onClick={() => trying.mutate(text)}
          >
            {t('configuration.try')}
          </Button>
        </div>
        {(apply !== undefined || trying.error !== null) && (
          <ApplyPanel
            key={trying.submittedAt}
            preview={apply?.preview}
            error={trying.error}
            retry={() => trying.mutate(text)}
            apply={async (manner) => (await replaceAll(apply?.text ?? '', apply?.etag ?? '', manner)).data}
            done={() => change('')}
            readOnly={readOnly}
          />
        )}
      </div>
    </Card>
  )
}
