/** The members of a service's pool, with what each is given now. */
import { ActionIcon, Menu } from '@mantine/core'
import { IconDots, IconDroplet, IconPlayerPlay, IconPlayerStop, IconTrash } from '@tabler/icons-react'
import { useTranslation } from 'react-i18next'
import type { Member } from '../../api/client.ts'
import { memberKey, shares } from '../../live/rates.ts'
import { bits, useRecent } from '../../live/traffic.ts'
import { memberFacts } from '../../status/facts.ts'
import { Empty } from '../../ui/Empty.tsx'
import { bitRate, count, percent } from '../../ui/format.ts'
import { AdminStatus, HealthStatus, healthTone, SyncStatus } from '../../ui/Status.tsx'
import { useMemberActions } from './useMemberActions.ts'

const SHARE_S = 60

interface Props {
  serviceId: string
  poolId: string
  members: readonly Member[]
}

export function Members({ serviceId, poolId, members }: Props) {
  const { t } = useTranslation()
  const samples = useRecent(SHARE_S)
  const ids = members.map(({ id }) => id)
  const share = shares(samples, serviceId, ids)
  const now = samples.at(-1)
  if (members.length === 0) return <Empty title={t('detail.noMembers')} help={t('detail.noMembersHelp')} />
  return (
    <table className="table members">
      <thead>
        <tr>
          <th>{t('health.label')}</th>
          <th>{t('admin.label')}</th>
          <th>{t('sync.label')}</th>
          <th>{t('detail.address')}</th>
          <th className="number">{t('detail.share')}</th>
          <th className="number">{t('detail.connections')}</th>
          <th className="number">{t('detail.throughput')}</th>
          <th>
            <span className="visually-hidden">{t('detail.actionsColumn')}</span>
          </th>
        </tr>
      </thead>
      <tbody>
        {members.map((member) => {
          const facts = memberFacts(member)
          const rates = now?.members.get(memberKey(serviceId, member.id))
          return (
            <tr key={member.id} className={`edge-${healthTone(facts.health)}`}>
              <td className="cell-health">
                <HealthStatus facts={facts} />
              </td>
              <td className="cell-admin">
                <AdminStatus admin={facts.admin} />
              </td>
              <td className="cell-sync">
                <SyncStatus sync={facts.sync} reason={member.status_reason} />
              </td>
              <td className="cell-name">
                <span className="mono">
                  {member.address}
                  <span className="dim">:{member.port}</span>
                </span>
                {member.name !== `${member.address}:${member.port}` && (
                  <span className="small dim"> {member.name}</span>
                )}
              </td>
              <td className="cell-share number">
                {share.size === 0 ? t('common.none') : percent(share.get(member.id) ?? 0)}
              </td>
              <td className="cell-connections number">{count(rates?.connections ?? 0)}</td>
              <td className="cell-throughput number">{bitRate(bits(rates))}</td>
              <td className="cell-actions">
                <Actions poolId={poolId} member={member} />
              </td>
            </tr>
          )
        })}
      </tbody>
    </table>
  )
}

function Actions({ poolId, member }: { poolId: string; member: Member }) {
  const { t } = useTranslation()
  const { switchTo, remove } = useMemberActions(poolId)
  const admin = memberFacts(member).admin
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={t('detail.actions', { name: member.name })}>
          <IconDots size={16} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item
          leftSection={<IconPlayerPlay size={14} />}
          disabled={admin === 'enabled'}
          onClick={() => void switchTo(member, 'enabled')}
        >
          {t('detail.enable')}
        </Menu.Item>
        <Menu.Item
          leftSection={<IconDroplet size={14} />}
          disabled={admin === 'draining'}
          onClick={() => void switchTo(member, 'drain')}
        >
          {t('detail.drain')}
        </Menu.Item>
        <Menu.Item
          leftSection={<IconPlayerStop size={14} />}
          disabled={admin === 'disabled'}
          onClick={() => void switchTo(member, 'disabled')}
        >
          {t('detail.disable')}
        </Menu.Item>
        <Menu.Divider />
        <Menu.Item className="danger" leftSection={<IconTrash size={14} />} onClick={() => void remove(member)}>
          {t('detail.remove')}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  )
}
