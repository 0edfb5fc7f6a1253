import { ActionIcon, Button, Menu } from '@mantine/core'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import {
  IconGitPullRequest,
  IconKeyboard,
  IconLogout,
  IconMenu2,
  IconPlayerPause,
  IconPlayerPlay,
  IconSearch,
  IconUser,
} from '@tabler/icons-react'
import { useTranslation } from 'react-i18next'
import { answer, api } from '../api/client.ts'
import { changesetsQuery, statusQuery } from '../api/queries.ts'
import { SyncStatus } from '../ui/Status.tsx'
import { Logo } from '../ui/Logo.tsx'
import { Preferences } from '../ui/Preferences.tsx'
import { useMay } from './usePermission.ts'

interface Props {
  username: string
  paused: boolean
  setPaused: (paused: boolean) => void
  openMenu: () => void
  openPalette: () => void
  openKeys: () => void
}

export function Header({ username, paused, setPaused, openMenu, openPalette, openKeys }: Props) {
  const { t } = useTranslation()
  const word = paused ? t('header.resume') : t('header.pause')
  return (
    <header className="header">
      <ActionIcon className="only-narrow" variant="subtle" color="gray" aria-label={t('nav.open')} onClick={openMenu}>
        <IconMenu2 size={20} />
      </ActionIcon>
      <Link to="/" className="brand" aria-label={t('product')}>
        <Logo /> <span className="only-wide">{t('product')}</span>
      </Link>
      <button className="jump" onClick={openPalette}>
        <IconSearch size={16} aria-hidden="true" />
        <span className="grow hidden-narrow">{t('palette.placeholder')}</span>
        <kbd className="only-wide" aria-hidden="true">
          Ctrl K
        </kbd>
      </button>
      <span className="spring" />
      <SyncChip />
      <PendingChip />
      <Button
        className="chip"
        variant="default"
        size="compact-md"
        aria-label={word}
        title={word}
        aria-pressed={paused}
        leftSection={paused ? <IconPlayerPlay size={14} /> : <IconPlayerPause size={14} />}
        onClick={() => setPaused(!paused)}
      >
        <span className="only-wide">{paused ? t('header.paused') : t('header.live')}</span>
      </Button>
      <Preferences />
      <Account username={username} openKeys={openKeys} />
    </header>
  )
}

/** What was collected and waits to be applied. */
function PendingChip() {
  const { t } = useTranslation()
  const may = useMay()
  const { data: waiting } = useQuery({ ...changesetsQuery, enabled: may('balancing:read') })
  const size = waiting?.reduce((sum, { operations }) => sum + operations.length, 0) ?? 0
  if (size === 0) return null
  const words = t('header.pending', { count: size })
  return (
    <Link to="/pending" className="chip pending-chip" aria-label={words} title={words}>
      <IconGitPullRequest size={16} aria-hidden="true" /> <span className="only-narrow">{size}</span>
      <span className="only-wide">{words}</span>
    </Link>
  )
}

/** How far the last change of anything has come. */
function SyncChip() {
  const { t } = useTranslation()
  const { data: status } = useQuery(statusQuery)
  if (status === undefined) return null
  const { generation, observed_generation, failure } = status
  const sync = observed_generation >= generation ? 'applied' : failure === null ? 'pending' : 'failed'
  return (
    <span className="chip sync-chip only-wide" role="status">
      <span className="mono">{t('sync.generation', { n: generation })}</span>
      <SyncStatus sync={sync} reason={failure} loud />
    </span>
  )
}

function Account({ username, openKeys }: { username: string; openKeys: () => void }) {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const { data: status } = useQuery(statusQuery)
  const signOut = async () => {
    await answer(api.DELETE('/api/v1/sessions/current')).catch(() => {})
    queries.clear()
    // Nothing of this session stays in memory.
    location.assign('/')
  }
  return (
    <Menu position="bottom-end" withinPortal>
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" aria-label={t('header.account')} title={t('header.account')}>
          <IconUser size={18} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Label>{t('header.signedInAs', { name: username })}</Menu.Label>
        <Menu.Item component={Link} to="/profile" leftSection={<IconUser size={16} />}>
          {t('profile.title')}
        </Menu.Item>
        <Menu.Item leftSection={<IconKeyboard size={16} />} onClick={openKeys}>
          {t('keys.title')}
        </Menu.Item>
        <Menu.Item leftSection={<IconLogout size={16} />} onClick={() => void signOut()}>
          {t('header.signOut')}
        </Menu.Item>
        {status !== undefined && (
          <Menu.Label>
            {t('header.version')} {status.version}
          </Menu.Label>
        )}
      </Menu.Dropdown>
    </Menu>
  )
}
