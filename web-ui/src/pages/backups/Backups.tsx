/** Backups: everything as it was, in a file that a passphrase seals. */
import { Button, FileButton } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { IconArchive, IconDownload, IconFileUpload } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { answer, api, type Schemas } from '../../api/client.ts'
import { useMay } from '../../app/usePermission.ts'
import { Card } from '../../ui/Card.tsx'
import { DangerModal } from '../../ui/DangerModal.tsx'
import { download } from '../../ui/download.ts'
import { Empty } from '../../ui/Empty.tsx'
import { count, dateTime } from '../../ui/format.ts'
import { ProblemNote } from '../../ui/ProblemNote.tsx'
import { showToast } from '../../ui/toasts.ts'
import { useAction } from '../../ui/useAction.ts'
import { RestoreModal } from './RestoreModal.tsx'
import { TakeModal } from './TakeModal.tsx'

type Backup = Schemas['Backup']
type Asked = { what: 'take' } | { what: 'restore' | 'delete'; backup: Backup }

const KEY = ['backups']

export function Backups() {
  const { t } = useTranslation()
  const may = useMay()
  const queries = useQueryClient()
  const [asked, setAsked] = useState<Asked | null>(null)
  const { data, error, refetch } = useQuery({
    queryKey: KEY,
    queryFn: ({ signal }) => answer(api.GET('/api/v1/backups', { signal })),
  })
  const uploading = useMutation({
    mutationFn: (file: File) =>
      answer(
        api.POST('/api/v1/backups/upload', {
          headers: { 'Content-Type': 'application/octet-stream' },
          body: file as unknown as string,
          bodySerializer: (body) => body as unknown as BodyInit,
        }),
      ),
    onSuccess: async () => {
      showToast({ tone: 'up', text: t('backups.uploaded') })
      await queries.invalidateQueries({ queryKey: KEY })
    },
  })
  const readOnly = may('system:write') ? undefined : t('system.readOnly')
  const close = () => setAsked(null)
  const done = () => {
    close()
    void queries.invalidateQueries({ queryKey: KEY })
  }
  return (
    <>
      <div className="page-head">
        <h1>{t('nav.backups')}</h1>
        <div className="tools">
          <FileButton onChange={(file) => file !== null && uploading.mutate(file)}>
            {(props) => (
              <Button
                {...props}
                variant="default"
                leftSection={<IconFileUpload size={16} />}
                loading={uploading.isPending}
                disabled={readOnly !== undefined}
                title={readOnly}
              >
                {t('backups.upload')}
              </Button>
            )}
          </FileButton>
          <Button
            leftSection={<IconArchive size={16} />}
            disabled={readOnly !== undefined}
            title={readOnly}
            onClick={() => setAsked({ what: 'take' })}
          >
            {t('backups.take')}
          </Button>
        </div>
      </div>
      <div className="stack wide">
        {error !== null && <ProblemNote error={error} retry={() => void refetch()} />}
        {uploading.error !== null && <ProblemNote error={uploading.error} />}
        <Card title={t('backups.kept')}>
          <p className="dim">{t('backups.help')}</p>
          {data?.items.length === 0 && <Empty title={t('backups.none')} />}
          <ul className="rows">
            {data?.items.map((backup) => (
              <Line key={backup.id} backup={backup} readOnly={readOnly} ask={(what) => setAsked({ what, backup })} />
            ))}
          </ul>
        </Card>
      </div>
      {asked?.what === 'take' && <TakeModal close={close} done={done} />}
      {asked?.what === 'restore' && <RestoreModal backup={asked.backup} close={close} />}
      {asked?.what === 'delete' && (
        <DangerModal
          title={t('backups.deleteTitle')}
          confirm={t('remove.confirm')}
          act={async () => {
            await answer(api.DELETE('/api/v1/backups/{id}', { params: { path: { id: asked.backup.id } } }))
            done()
          }}
          close={close}
        >
          <p>{t('backups.deleteHelp')}</p>
        </DangerModal>
      )}
    </>
  )
}

interface LineProps {
  backup: Backup
  readOnly: string | undefined
  ask: (what: 'restore' | 'delete') => void
}

function Line({ backup, readOnly, ask }: LineProps) {
  const { t, i18n } = useTranslation()
  const act = useAction()
  const { id, created_at, generation, version, comment, size_bytes } = backup
  const at = dateTime(created_at, i18n.language)
  const save = () =>
    act(async () => {
      const asking = api.GET('/api/v1/backups/{id}/file', { params: { path: { id } }, parseAs: 'blob' })
      const file = (await answer(asking)) as unknown as Blob
      const stamp = created_at.slice(0, 19).replaceAll(':', '')
      download(`penstock-${stamp}.backup`, file, 'application/octet-stream')
    }, t('backups.downloaded'))
  const button = (label: string, press: () => void, danger = false) => (
    <Button
      size="compact-sm"
      variant="default"
      {...(danger && { className: 'danger' })}
      disabled={readOnly !== undefined}
      title={readOnly}
      aria-label={`${label}: ${at}`}
      onClick={press}
    >
      {label}
    </Button>
  )
  return (
    <li className="wrap-row">
      <b>{at}</b>
      <span className="dim">
        {t('sync.generation', { n: generation })} · {version} · {count(size_bytes)}B
      </span>
      <bdi className="grow cut">{comment}</bdi>
      <Button
        size="compact-sm"
        variant="default"
        leftSection={<IconDownload size={14} />}
        disabled={readOnly !== undefined}
        title={readOnly}
        aria-label={`${t('configuration.download')}: ${at}`}
        onClick={() => void save()}
      >
        {t('configuration.download')}
      </Button>
      {button(t('backups.restore'), () => ask('restore'))}
      {button(t('backups.delete'), () => ask('delete'), true)}
    </li>
  )
}
