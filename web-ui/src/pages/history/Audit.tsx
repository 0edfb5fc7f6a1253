/** Who did or tried what, from where: each line chained to the one before. */
import { Button } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { IconShieldCheck } from '@tabler/icons-react'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { answer, api, type Schemas } from '../../api/client.ts'
import { useLog } from '../../api/useLog.ts'
import { ChangeLine } from '../../ui/Changes.tsx'
import { dateTimeExact } from '../../ui/format.ts'
import type { Column } from '../../ui/list/columns.ts'
import { ListPage } from '../../ui/list/ListPage.tsx'
import { useProblemText } from '../../ui/ProblemNote.tsx'
import { Glyph } from '../../ui/Status.tsx'
import { showToast } from '../../ui/toasts.ts'

type Entry = Schemas['AuditEntry']

const route = getRouteApi('/audit')

export function Audit() {
  const { t, i18n } = useTranslation()
  const search = route.useSearch()
  const navigate = useNavigate()
  const list = useLog('/api/v1/audit')
  const columns = useMemo(
    (): Column<Entry>[] => [
      {
        id: 'at',
        title: t('history.at'),
        value: ({ at }) => at,
        cell: ({ at }) => <span className="nowrap">{dateTimeExact(at, i18n.language)}</span>,
      },
      {
        id: 'actor',
        title: t('history.actor'),
        phone: 'title',
        value: ({ actor }) => actor,
        cell: ({ actor }) => <bdi className="cut">{actor}</bdi>,
      },
      {
        id: 'action',
        title: t('history.action'),
        value: ({ action }) => action,
        cell: ({ action }) => <span className="mono">{action}</span>,
      },
      {
        id: 'outcome',
        title: t('history.outcome'),
        phone: 'status',
        value: ({ outcome }) => outcome,
        cell: ({ outcome }) =>
          outcome === 'denied' ? (
            <span className="status tone-down">
              <Glyph tone="down" /> {t('history.denied')}
            </span>
          ) : (
            <span className="status quiet">{t('history.succeeded')}</span>
          ),
      },
      {
        id: 'source',
        title: t('history.source'),
        phone: 'right',
        value: ({ source }) => source ?? '',
        cell: ({ source }) => <span className="mono">{source ?? t('common.none')}</span>,
      },
      {
        id: 'details',
        title: t('history.details'),
        phone: 'hidden',
        value: ({ details }) => JSON.stringify(details),
        cell: ({ details }) => <Details details={details} />,
      },
    ],
    [t, i18n.language],
  )
  return (
    <ListPage
      title={t('nav.audit')}
      empty={{ title: t('history.noAudit'), help: t('history.noAuditHelp') }}
      list={list}
      search={search}
      setSearch={(next) => void navigate({ to: '/audit', search: next, replace: true })}
      columns={columns}
      idOf={({ id }) => String(id)}
      nameOf={({ actor, action }) => `${actor} ${action}`}
      textOf={({ actor, action, source, details }) => `${actor} ${action} ${source ?? ''} ${JSON.stringify(details)}`}
      order={({ id }) => -id}
      pills={[{ id: 'denied', label: t('history.denied'), tone: 'down', keeps: ({ outcome }) => outcome === 'denied' }]}
      aside={<Verify />}
    />
  )
}

/** Characters. */
const SHOWN = 400

function Details({ details }: { details: unknown }) {
  const text = details === null || details === undefined ? '' : JSON.stringify(details).slice(0, SHOWN)
  const changes = (details as { changes?: Schemas['Change'][] } | null)?.changes ?? []
  const first = changes[0]
  if (first === undefined) {
    return (
      <bdi className="mono dim details-cut" title={text}>
        {text === '{}' ? '' : text}
      </bdi>
    )
  }
  // A change of a thousand resources is written down whole; its version shows it better.
  return (
    <span className="details-cut" title={text}>
      <ChangeLine change={first} />
      {changes.length > 1 && <span className="dim"> +{changes.length - 1}</span>}
    </span>
  )
}

function Verify() {
  const { t } = useTranslation()
  const problemText = useProblemText()
  const verify = useMutation({
    mutationFn: () => answer(api.GET('/api/v1/audit/verification')),
    onSuccess: ({ intact, entries, broken_at }) =>
      showToast(
        intact
          ? { tone: 'up', text: t('history.intact', { count: entries }) }
          : { tone: 'down', text: t('history.broken', { n: broken_at ?? 0 }) },
      ),
    onError: (error) => showToast({ tone: 'down', text: problemText(error) }),
  })
  return (
    <Button
      variant="default"
      leftSection={<IconShieldCheck size={16} />}
      loading={verify.isPending}
      onClick={() => verify.mutate()}
    >
      {t('history.verify')}
    </Button>
  )
}
