/** The members of a pool with what each is given now; of one service, or of all that the pool serves. */
import { ActionIcon, Button, Menu } from '@mantine/core'
import {
  IconDots,
  IconDroplet,
  IconPencil,
  IconPlayerPlay,
  IconPlayerStop,
  IconPlus,
  IconTrash,
} from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import type { Member, MemberState } from '../api/client.ts'
import { useReadOnly } from '../app/usePermission.ts'
import { membersOf, pools } from '../api/resources.ts'
import { useOne } from '../api/useOne.ts'
import { addRates, given, NO_RATES, type Rates, type Sample } from '../live/rates.ts'
import { bits, useRecent } from '../live/traffic.ts'
import { said } from '../i18n/index.ts'
import { useMemberFields } from '../resources/pools.ts'
import { memberAdmin, memberFacts, severity } from '../status/facts.ts'
import { Empty } from '../ui/Empty.tsx'
import { EditModal } from '../ui/form/modals.tsx'
import { bitRate, count, percent, time } from '../ui/format.ts'
import type { Column } from '../ui/list/columns.ts'
import { sorted, type Sorting } from '../ui/list/columns.ts'
import { DataTable } from '../ui/list/DataTable.tsx'
import { later } from '../ui/later.tsx'
import { HealthStatus, healthTone, SyncMark } from '../ui/Status.tsx'
import { useMemberActions } from './useMemberActions.ts'

const AddMembers = later(async () => (await import('./AddMembers.tsx')).AddMembers)

const SHARE_S = 60

interface Props {
  poolId: string
  members: readonly Member[]
  /** Only what this one gives them; otherwise all of it. */
  giver?: string
}

/** What a member is given, by its identifier. */
function ratesOf(sample: Sample | undefined, giver: string | undefined): Map<string, Rates> {
  const found = new Map<string, Rates>()
  for (const [key, rates] of sample?.members ?? []) {
    const [from, member = ''] = key.split('/')
    if (giver === undefined || from === giver) found.set(member, addRates(found.get(member) ?? NO_RATES, rates))
  }
  return found
}

function openOf(sample: Sample | undefined, giver: string | undefined): Map<string, number> {
  const found = new Map<string, number>()
  for (const [key, open] of sample?.open ?? []) {
    const [from, member = ''] = key.split('/')
    if (giver === undefined || from === giver) found.set(member, (found.get(member) ?? 0) + open)
  }
  return found
}

export function MemberTable({ poolId, members, giver }: Props) {
  const { t } = useTranslation()
  const samples = useRecent(SHARE_S)
  const [sorting, setSorting] = useState<Sorting>()
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set())
  const [adding, setAdding] = useState(false)
  const [editing, setEditing] = useState<Member | null>(null)
  const { switchTo, remove } = useMemberActions(poolId)
  const readOnly = useReadOnly()
  const fields = useMemberFields()
  const { data: pool } = useOne(pools, poolId)

  const open = openOf(samples.at(-1), giver)
  const now = ratesOf(samples.at(-1), giver)
  const connections = useMemo(() => {
    const sums = new Map<string, number>()
    for (const sample of samples) {
      for (const [id, rates] of ratesOf(sample, giver)) sums.set(id, (sums.get(id) ?? 0) + given(rates))
    }
    return sums
  }, [samples, giver])
  const all = members.reduce((sum, { id }) => sum + (connections.get(id) ?? 0), 0)
  const share = (member: Member) => (all === 0 ? 0 : (connections.get(member.id) ?? 0) / all)

  const columns: Column<Member>[] = [
    {
      id: 'health',
      title: t('list.status'),
      value: (member) => severity(memberFacts(member)),
      phone: 'status',
      cell: (member) => (
        <MemberHealth member={member} open={open.get(member.id) ?? 0} patience={pool?.drain_timeout_s} />
      ),
    },
    {
      id: 'name',
      title: t('field.address'),
      value: (member) => `${member.address}:${member.port}`,
      phone: 'title',
      cell: (member) => (
        <span className="mono nowrap">
          {member.address}
          <span className="dim">:{member.port}</span> <SyncMark resource={member} />
        </span>
      ),
    },
    {
      id: 'label',
      title: t('field.name'),
      value: ({ name }) => name,
      cell: ({ name, address, port }) =>
        name === `${address}:${port}` ? (
          <span className="dim">{t('common.none')}</span>
        ) : (
          <bdi className="named cut" title={name}>
            {name}
          </bdi>
        ),
    },
    {
      id: 'weight',
      title: t('members.weight'),
      number: true,
      phone: 'hidden',
      value: ({ weight }) => weight,
      cell: ({ weight, backup }) => (
        <span className="nowrap">
          {backup && <span className="tag">{t('members.backup')}</span>} {weight}
        </span>
      ),
    },
    {
      id: 'share',
      title: t('members.share'),
      number: true,
      value: share,
      cell: (member) => (
        <span className="share">
          <span className="meter" aria-hidden="true">
            <span style={{ width: percent(share(member)) }} />
          </span>
          {all === 0 ? t('common.none') : percent(share(member))}
        </span>
      ),
    },
    {
      id: 'open',
      title: t('members.open'),
      number: true,
      value: ({ id }) => open.get(id) ?? 0,
      phone: 'hidden',
      cell: ({ id }) => count(open.get(id) ?? 0),
    },
    {
      id: 'connections',
      title: t('members.given'),
      number: true,
      phone: 'hidden',
      cell: (member) => count(given(now.get(member.id) ?? NO_RATES)),
    },
    {
      id: 'throughput',
      title: t('services.throughput'),
      number: true,
      phone: 'right',
      cell: (member) => bitRate(bits(now.get(member.id))),
    },
  ]
  const unnamed = members.every(({ name, address, port }) => name === `${address}:${port}`)
  const shown = columns.filter(({ id }) => id !== 'label' || !unnamed)
  const rows = sorting === undefined ? [...members] : sorted(members, columns, sorting)
  const marked = rows.filter(({ id }) => selected.has(id))
  const clear = () => setSelected(new Set())
  return (
    <section aria-label={t('detail.members')} className="card flush">
      <div className="filters">
        <h3 className="spring">
          {t('detail.members')} <span className="dim">{members.length}</span>
        </h3>
        <Button
          size="compact-sm"
          variant="default"
          leftSection={<IconPlus size={14} />}
          disabled={readOnly !== undefined}
          title={readOnly}
          onClick={() => setAdding(true)}
        >
          {t('members.add')}
        </Button>
      </div>
      {marked.length > 0 && (
        <div className="bulk" role="toolbar" aria-label={t('list.bulk')}>
          <b>{t('list.selected', { count: marked.length })}</b>
          <Switches switchTo={(state) => void switchTo(marked, state).then(clear)} />
          <Button
            size="compact-sm"
            variant="default"
            className="danger"
            leftSection={<IconTrash size={14} />}
            onClick={() => void remove(marked).then(clear)}
          >
            {t('detail.remove')}
          </Button>
        </div>
      )}
      {members.length === 0 ? (
        <Empty title={t('detail.noMembers')} help={t('detail.noMembersHelp')} />
      ) : (
        <div className="scroll-x">
          <DataTable
            label={t('detail.members')}
            rows={rows}
            columns={shown}
            idOf={({ id }) => id}
            nameOf={({ name }) => name}
            toneOf={(member) => healthTone(memberFacts(member).health)}
            sorting={sorting}
            setSorting={setSorting}
            selected={readOnly === undefined ? selected : undefined}
            setSelected={readOnly === undefined ? setSelected : undefined}
            actions={
              readOnly !== undefined
                ? undefined
                : (member) => (
                    <Actions
                      member={member}
                      switchTo={(state) => void switchTo([member], state)}
                      edit={() => setEditing(member)}
                      remove={() => void remove([member])}
                    />
                  )
            }
          />
        </div>
      )}
      {adding && <AddMembers poolId={poolId} close={() => setAdding(false)} />}
      {editing !== null && (
        <EditModal
          title={t('members.edit', { name: editing.name })}
          of={membersOf(poolId)}
          id={editing.id}
          fields={fields}
          close={() => setEditing(null)}
        />
      )}
    </section>
  )
}

/** For how many seconds the connections of a member that drains still go on at most; null where nothing ends them. */
function secondsLeft({ updated_at }: Member, patience: number | null | undefined): number | null {
  if (patience === null || patience === undefined) return null
  const gone = (Date.now() - Date.parse(updated_at)) / 1000
  return Math.max(0, Math.min(patience, Math.ceil(patience - gone)))
}

interface HealthProps {
  member: Member
  open: number
  /** Seconds that draining may take. */
  patience: number | null | undefined
}

/** A member that is down says what the last check saw, and since when; one that drains, what is left of it. */
function MemberHealth({ member, open, patience }: HealthProps) {
  const { t, i18n } = useTranslation()
  const facts = memberFacts(member)
  if (facts.health === 'draining') {
    const seconds = secondsLeft(member, patience)
    return (
      <span className="stacked">
        <HealthStatus facts={facts} />
        <span className="small dim">
          {t('members.left', { count: open })}
          {seconds !== null && open > 0 && <br />}
          {seconds !== null && open > 0 && t('members.endIn', { seconds })}
        </span>
      </span>
    )
  }
  if (facts.health !== 'down') return <HealthStatus facts={facts} />
  return (
    <span className="stacked">
      <HealthStatus facts={facts} />
      <span className="small dim cut" title={facts.words ?? undefined}>
        <bdi>{said(facts.words ?? '')}</bdi>
        {member.last_change !== null && ` · ${t('members.since', { time: time(member.last_change, i18n.language) })}`}
      </span>
    </span>
  )
}

const SWITCHES = [
  { state: 'enabled', word: 'detail.enable', icon: IconPlayerPlay },
  { state: 'drain', word: 'detail.drain', icon: IconDroplet },
  { state: 'disabled', word: 'detail.disable', icon: IconPlayerStop },
] as const

function Switches({ switchTo }: { switchTo: (state: MemberState) => void }) {
  const { t } = useTranslation()
  return SWITCHES.map(({ state, word, icon: Icon }) => (
    <Button
      key={state}
      size="compact-sm"
      variant="default"
      leftSection={<Icon size={14} />}
      onClick={() => switchTo(state)}
    >
      {t(word)}
    </Button>
  ))
}

interface ActionsProps {
  member: Member
  switchTo: (state: MemberState) => void
  edit: () => void
  remove: () => void
}

const ADMIN_OF = { enabled: 'enabled', drain: 'draining', disabled: 'disabled' } as const

function Actions({ member, switchTo, edit, remove }: ActionsProps) {
  const { t } = useTranslation()
  const admin = memberAdmin(member)
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={t('detail.actions', { name: member.name })}>
          <IconDots size={16} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        {SWITCHES.map(({ state, word, icon: Icon }) => (
          <Menu.Item
            key={state}
            leftSection={<Icon size={14} />}
            disabled={admin === ADMIN_OF[state]}
            onClick={() => switchTo(state)}
          >
            {t(word)}
          </Menu.Item>
        ))}
        <Menu.Divider />
        <Menu.Item leftSection={<IconPencil size={14} />} onClick={edit}>
          {t('detail.edit')}
        </Menu.Item>
        <Menu.Item className="danger" leftSection={<IconTrash size={14} />} onClick={remove}>
          {t('detail.remove')}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}
