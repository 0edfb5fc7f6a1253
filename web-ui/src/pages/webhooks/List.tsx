/** Who is told of events, and whether that works. */
import { Menu } from '@mantine/core'
import { useMutation } from '@tanstack/react-query'
import { getRouteApi } from '@tanstack/react-router'
import { IconSend } from '@tabler/icons-react'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { answer, api, type Schemas } from '../../api/client.ts'
import { webhooks } from '../../api/resources.ts'
import { useList } from '../../api/useList.ts'
import { useReadOnly } from '../../app/usePermission.ts'
import { said } from '../../i18n/index.ts'
import { changedWebhookFields, newSecret, webhookFields } from '../../resources/webhooks.ts'
import { age, dateTime } from '../../ui/format.ts'
import { EnabledState, Names, PlainName } from '../../ui/list/cells.tsx'
import type { Column } from '../../ui/list/columns.ts'
import { ResourcePage } from '../../ui/list/ResourcePage.tsx'
import { Glyph } from '../../ui/Status.tsx'
import { useProblemText } from '../../ui/ProblemNote.tsx'
import { showToast } from '../../ui/toasts.ts'

type Webhook = Schemas['WebhookView']

const route = getRouteApi('/webhooks')
const WORDS = {
  title: 'nav.webhooks',
  create: 'webhooks.create',
  edit: 'monitors.edit',
  empty: 'webhooks.empty',
  emptyHelp: 'webhooks.emptyHelp',
} as const

export function WebhookList() {
  const { t } = useTranslation()
  const attempt = useTrial()
  const { create } = route.useSearch()
  // Another one for each new webhook.
  const initial = useMemo(() => ({ enabled: true, events: [], secret: create === true ? newSecret() : '' }), [create])
  return (
    <ResourcePage
      place="/webhooks"
      of={webhooks}
      list={useList(webhooks, route.useSearch())}
      words={WORDS}
      columns={useColumns()}
      textOf={({ url }) => url}
      fields={webhookFields}
      editFields={changedWebhookFields}
      initial={initial}
      readOnly={useReadOnly()}
      removal={() => t('webhooks.removeText')}
      actions={(webhook) => (
        <Menu.Item leftSection={<IconSend size={14} />} onClick={() => attempt.mutate(webhook)}>
          {t('webhooks.test')}
        </Menu.Item>
      )}
    />
  )
}

/** Posts a message, and says what came of it. */
function useTrial() {
  const { t } = useTranslation()
  const problemText = useProblemText()
  const attempt = async ({ id, name }: Webhook) => {
    const asking = api.POST('/api/v1/webhooks/{id}/test', { params: { path: { id } } })
    const { taken, error, took_ms } = await answer(asking)
    const text = taken
      ? t('webhooks.taken', { name, time: age(took_ms) })
      : t('webhooks.notTaken', { name, error: said(error ?? '') })
    showToast({ tone: taken ? 'up' : 'down', text })
  }
  return useMutation({
    mutationFn: attempt,
    onError: (error) => showToast({ tone: 'down', text: problemText(error) }),
  })
}

function useColumns(): Column<Webhook>[] {
  const { t, i18n } = useTranslation()
  return useMemo(
    () => [
      {
        id: 'name',
        title: t('field.name'),
        phone: 'title',
        value: ({ name }) => name,
        sort: 'name',
        cell: (webhook) => <PlainName resource={webhook} />,
      },
      {
        id: 'state',
        title: t('list.status'),
        phone: 'status',
        value: ({ enabled, delivery }) => Number(enabled) - delivery.failures,
        cell: (webhook) => <Delivering of={webhook} />,
      },
      {
        id: 'url',
        title: t('field.url'),
        value: ({ url }) => url,
        cell: ({ url }) => <bdi className="mono named cut">{url}</bdi>,
      },
      {
        id: 'events',
        title: t('field.events'),
        value: ({ events }) => events.join(' '),
        cell: ({ events }) => (events.length === 0 ? t('webhooks.all') : <Names names={events} />),
      },
      {
        id: 'last',
        title: t('webhooks.last'),
        phone: 'hidden',
        value: ({ delivery }) => delivery.last_success_at ?? '',
        cell: ({ delivery: { last_success_at: at } }) =>
          at === null ? (
            <span className="dim">{t('common.none')}</span>
          ) : (
            <span className="nowrap">{dateTime(at, i18n.language)}</span>
          ),
      },
    ],
    [t, i18n.language],
  )
}

function Delivering({ of: { enabled, delivery } }: { of: Webhook }) {
  const { t } = useTranslation()
  if (!enabled || delivery.last_error === null) return <EnabledState enabled={enabled} />
  return (
    <span className="status tone-down" title={said(delivery.last_error)}>
      <Glyph tone="down" /> {t('webhooks.failing', { count: delivery.failures })}
    </span>
  )
}
