/** The machine itself: its two places for a release, updating, going back, restarting, forgetting everything. */
import { Button, FileButton, Progress } from '@mantine/core'
import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { IconFileDownload, IconFileUpload } from '@tabler/icons-react'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { answer, api, type Schemas } from '../../api/client.ts'
import { statusQuery } from '../../api/queries.ts'
import { putUpdate } from '../../api/update.ts'
import { useMay } from '../../app/usePermission.ts'
import { Card } from '../../ui/Card.tsx'
import { DangerModal } from '../../ui/DangerModal.tsx'
import { download } from '../../ui/download.ts'
import { ProblemNote } from '../../ui/ProblemNote.tsx'
import { Glyph } from '../../ui/Status.tsx'
import { showToast } from '../../ui/toasts.ts'

type Machine = Schemas['System']
type Act = 'rollback' | 'restart' | 'shutdown' | 'reset'

const KEY = ['system']

export function System() {
  const { t } = useTranslation()
  const may = useMay()
  const {
    data: system,
    error,
    refetch,
  } = useQuery({
    queryKey: KEY,
    queryFn: ({ signal }) => answer(api.GET('/api/v1/system', { signal })),
    // An update that is being written is watched more closely.
    refetchInterval: ({ state }) => (state.data?.update.state === 'installing' ? 1000 : 10_000),
  })
  const { data: status } = useQuery(statusQuery)
  const readOnly = may('system:write') ? undefined : t('system.readOnly')
  return (
    <>
      <div className="page-head">
        <h1>{t('nav.appliance')}</h1>
        {status !== undefined && (
          <span className="dim">
            {t('header.version')} {status.version}
          </span>
        )}
      </div>
      {error !== null && <ProblemNote error={error} retry={() => void refetch()} />}
      <div className="stack wide">
        {system !== undefined && (
          <>
            <Slots system={system} />
            <Update system={system} readOnly={readOnly} />
            <Machinery system={system} readOnly={readOnly} />
          </>
        )}
        <Support readOnly={readOnly} />
      </div>
    </>
  )
}

function Slots({ system: { slots } }: { system: Machine }) {
  const { t } = useTranslation()
  return (
    <Card title={t('system.slots')}>
      {slots.length === 0 ? (
        <p className="dim">{t('system.noSlots')}</p>
      ) : (
        <div className="slots">
          {slots.map(({ name, running, next, startable, version }) => (
            <section key={name} className="slot" aria-label={t('system.slot', { name: name.toUpperCase() })}>
              <p className="slot-head">
                <b>{t('system.slot', { name: name.toUpperCase() })}</b>
                {running && <span className="tag">{t('system.running')}</span>}
                {next && <span className="tag">{t('system.next')}</span>}
              </p>
              <p className="mono">{version ?? t('system.nothing')}</p>
              {!startable && version !== null && (
                <p className="small dim">
                  <Glyph tone="degraded" /> {t('system.unstartable')}
                </p>
              )}
            </section>
          ))}
        </div>
      )}
    </Card>
  )
}

interface Props {
  system: Machine
  readOnly: string | undefined
}

function Update({ system: { slots, update }, readOnly }: Props) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const [share, setShare] = useState(0)
  const sending = useMutation({
    mutationFn: (file: File) => putUpdate(file, setShare),
    onMutate: () => setShare(0),
    onSuccess: () => queries.invalidateQueries({ queryKey: KEY }),
  })
  const busy = sending.isPending || update.state === 'installing'
  const reason = readOnly ?? (slots.length === 0 ? t('system.noSlots') : undefined)
  return (
    <Card title={t('system.update')}>
      <div className="fields">
        <p className="dim">{t('system.updateHelp')}</p>
        {sending.error !== null && <ProblemNote error={sending.error} />}
        {sending.isPending && (
          <>
            <Progress value={share * 100} aria-label={t('system.uploading')} />
            <p className="small dim">
              {t('system.uploading')} {Math.round(share * 100)} %
            </p>
          </>
        )}
        {update.state === 'installing' && (
          <>
            <Progress value={100} animated aria-label={t('system.installing')} />
            <p className="small dim">{t('system.installing')}</p>
          </>
        )}
        {update.state === 'installed' && (
          <p className="note">
            <Glyph tone="up" size={16} /> <span>{t('system.installed')}</span>
          </p>
        )}
        {update.state === 'failed' && (
          <p className="note down">
            <Glyph tone="down" size={16} /> <span>{update.error ?? t('system.failed')}</span>
          </p>
        )}
        <div className="form-end">
          <FileButton accept=".raucb" onChange={(file) => file !== null && sending.mutate(file)}>
            {(props) => (
              <Button
                {...props}
                leftSection={<IconFileUpload size={16} />}
                loading={busy}
                disabled={reason !== undefined}
                title={reason}
              >
                {t('system.choose')}
              </Button>
            )}
          </FileButton>
        </div>
      </div>
    </Card>
  )
}

/** It is there when nothing else is: whoever needs it has a fault to find. */
function Support({ readOnly }: { readOnly: string | undefined }) {
  const { t } = useTranslation()
  const making = useMutation({
    mutationFn: () => answer(api.GET('/api/v1/system/support-bundle', { parseAs: 'blob' })),
    onSuccess: (bundle) => {
      const stamp = new Date().toISOString().slice(0, 19).replaceAll(':', '')
      download(`penstock-support-${stamp}.tar.gz`, bundle, 'application/gzip')
    },
  })
  return (
    <Card title={t('system.support')}>
      <div className="fields">
        <p className="dim">{t('system.supportHelp')}</p>
        {making.error !== null && <ProblemNote error={making.error} />}
        <div className="form-end">
          <Button
            variant="default"
            leftSection={<IconFileDownload size={16} />}
            loading={making.isPending}
            disabled={readOnly !== undefined}
            title={readOnly}
            onClick={() => making.mutate()}
          >
            {t('system.supportMake')}
          </Button>
        </div>
      </div>
    </Card>
  )
}

const PATHS = {
  rollback: '/api/v1/system/rollback',
  restart: '/api/v1/system/restart',
  shutdown: '/api/v1/system/shutdown',
  reset: '/api/v1/system/factory-reset',
} as const

function Machinery({ system: { slots }, readOnly }: Props) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const [asked, setAsked] = useState<Act | null>(null)
  const other = slots.find(({ running, startable }) => !running && startable)
  const without: Partial<Record<Act, string | undefined>> = {
    rollback: other === undefined ? t('system.noOther') : undefined,
  }
  const act = async (what: Act) => {
    await answer(api.POST(PATHS[what]))
    showToast({ tone: 'up', text: t(`system.${what}Done`) })
    await queries.invalidateQueries({ queryKey: KEY })
  }
  return (
    <Card title={t('system.machine')}>
      <ul className="rows">
        {(['rollback', 'restart', 'shutdown', 'reset'] as const).map((what) => {
          const reason = readOnly ?? without[what]
          return (
            <li key={what}>
              <span className="grow">
                <b>{t(`system.${what}`)}</b>
                <br />
                <span className="dim small">{t(`system.${what}Help`)}</span>
              </span>
              <Button
                variant="default"
                size="compact-md"
                className={what === 'reset' || what === 'shutdown' ? 'danger' : ''}
                disabled={reason !== undefined}
                title={reason}
                onClick={() => setAsked(what)}
              >
                {t(`system.${what}`)}
              </Button>
            </li>
          )
        })}
      </ul>
      {asked !== null && (
        <DangerModal
          title={t(`system.${asked}`)}
          confirm={t(`system.${asked}`)}
          typed={asked === 'reset' || asked === 'shutdown' ? t(`system.${asked}Word`) : undefined}
          act={() => act(asked)}
          close={() => setAsked(null)}
        >
          {t(`system.${asked}Help`)}
        </DangerModal>
      )}
    </Card>
  )
}
