/** The same as a call of the API, to paste into a script. */
import { Button } from '@mantine/core'
import { IconCheck, IconCopy } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'

export interface ApiCall {
  method: 'POST' | 'PATCH' | 'DELETE'
  url: string
  body?: unknown
  etag?: string
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`

export function asCurl({ method, url, body, etag }: ApiCall): string {
  const lines = [`curl -X ${method} ${quoted(location.origin + url)}`, `-H "Authorization: Bearer $TOKEN"`]
  if (etag !== undefined) lines.push(`-H ${quoted(`If-Match: ${etag}`)}`)
  if (body !== undefined) lines.push(`--json ${quoted(JSON.stringify(body, null, 2))}`)
  return lines.join(' \\\n  ')
}

export function ApiCallNote({ call }: { call: () => ApiCall }) {
  const { t } = useTranslation()
  const [open, setOpen] = useState(false)
  const [copied, setCopied] = useState(false)
  const copy = () => {
    void navigator.clipboard.writeText(asCurl(call())).then(() => setCopied(true))
    setTimeout(() => setCopied(false), 2000)
  }
  return (
    <details className="fold" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>{t('form.asApiCall')}</summary>
      {open && (
        <div className="code-box">
          <pre className="mono" tabIndex={0} aria-label={t('form.asApiCall')}>
            {asCurl(call())}
          </pre>
          <Button
            size="compact-sm"
            variant="default"
            leftSection={copied ? <IconCheck size={14} /> : <IconCopy size={14} />}
            onClick={copy}
          >
            {copied ? t('form.copied') : t('form.copy')}
          </Button>
        </div>
      )}
    </details>
  )
}
