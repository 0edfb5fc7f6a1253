/** The frame around every screen: header, navigation, messages. */
import { Drawer } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link, Outlet } from '@tanstack/react-router'
import { IconApi, IconLayoutDashboard, IconServer2 } from '@tabler/icons-react'
import { type ReactNode, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { servicesQuery } from '../api/queries.ts'
import { needsAttention, serviceFacts } from '../status/facts.ts'
import { Toasts } from '../ui/Toasts.tsx'
import { Header } from './Header.tsx'
import { useLive } from './useLive.ts'

export function Shell({ username }: { username: string }) {
  const { t } = useTranslation()
  const [menu, setMenu] = useState(false)
  const [paused, setPaused] = useState(false)
  useLive(paused)
  return (
    <div className="shell">
      <a className="skip" href="#content">
        {t('nav.skip')}
      </a>
      <Header username={username} paused={paused} setPaused={setPaused} openMenu={() => setMenu(true)} />
      <nav className="nav" aria-label={t('nav.label')}>
        <Navigation />
      </nav>
      <Drawer
        opened={menu}
        onClose={() => setMenu(false)}
        size={260}
        title={t('product')}
        closeButtonProps={{ 'aria-label': t('common.close') }}
      >
        <nav aria-label={t('nav.label')} onClick={() => setMenu(false)}>
          <Navigation />
        </nav>
      </Drawer>
      <main className="content" id="content" tabIndex={-1}>
        <Outlet />
      </main>
      <Toasts />
    </div>
  )
}

function Navigation() {
  const { t } = useTranslation()
  const { data: services } = useQuery(servicesQuery)
  const troubled = services?.filter((service) => needsAttention(serviceFacts(service, undefined))).length ?? 0
  return (
    <>
      <Group title={t('nav.overview')}>
        <Link to="/" activeOptions={{ exact: true }} className="nav-link">
          <IconLayoutDashboard size={16} stroke={1.6} /> {t('nav.dashboard')}
        </Link>
      </Group>
      <Group title={t('nav.traffic')}>
        <Link to="/virtual-services" className="nav-link">
          <IconServer2 size={16} stroke={1.6} /> {t('nav.services')}
          {troubled > 0 && <span className="badge">{troubled}</span>}
        </Link>
      </Group>
      <Group title={t('nav.system')}>
        <a href="/api/v1/docs" className="nav-link" target="_blank" rel="noreferrer">
          <IconApi size={16} stroke={1.6} /> {t('nav.apiReference')}
        </a>
      </Group>
    </>
  )
}

function Group({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className="nav-group" role="group" aria-label={title}>
      <p className="nav-title">{title}</p>
      {children}
    </div>
  )
}
