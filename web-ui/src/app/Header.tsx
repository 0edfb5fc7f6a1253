import { ActionIcon, Button, Menu } from '@mantine/core'
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { Link } from '@tanstack/react-router'
import { IconLogout, IconMenu2, IconPlayerPause, IconPlayerPlay, IconUser } from '@tabler/icons-react'
import { useTranslation } from 'react-i18next'
import { answer, api } from '../api/client.ts'
import { statusQuery } from '../api/queries.ts'
import { SyncStatus } from '../ui/Status.tsx'
import { Logo } from '../ui/Logo.tsx'
import { Preferences } from '../ui/Preferences.tsx'

interface Props {
  username: string
  paused: boolean
  setPaused: (paused: boolean) => void
  openMenu: () => void
}

export function Header({ username, paused, setPaused, openMenu }: Props) {
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
      <span className="spring" />
      <SyncChip />
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
        {paused ? t('header.paused') : t('header.live')}
      </Button>
      <Preferences />
      <Account username={username} />
    </header>
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

function Account({ username }: { username: string }) {
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
