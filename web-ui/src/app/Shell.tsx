/** The frame around every screen: header, navigation, messages. */
import { Drawer } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { Link, Outlet, useNavigate } from '@tanstack/react-router'
import { type ReactNode, useEffect, useRef, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { servicesQuery } from '../api/queries.ts'
import { pageTexts } from '../i18n/index.ts'
import { needsAttention, serviceFacts } from '../status/facts.ts'
import { useKeys } from '../ui/keys.ts'
import { later } from '../ui/later.tsx'
import { Toasts } from '../ui/Toasts.tsx'
import { Connection } from './Connection.tsx'
import { Header } from './Header.tsx'
import { GROUPS, PLACES } from './places.ts'
import { useMay } from './usePermission.ts'
import { Unconfirmed } from './Unconfirmed.tsx'
import { useLive } from './useLive.ts'
import { useStream } from './useStream.ts'

const Palette = later(async () => (await Promise.all([import('./Palette.tsx'), pageTexts()]))[0].Palette)
const KeyHelp = later(async () => (await import('./KeyHelp.tsx')).KeyHelp)

export function Shell({ username }: { username: string }) {
  const { t } = useTranslation()
  const [menu, setMenu] = useState(false)
  const [paused, setPaused] = useState(false)
  const [over, setOver] = useState<'palette' | 'keys' | null>(null)
  useLive(paused)
  const streaming = useStream()
  const may = useMay()
  useGlobalKeys(setOver)
  return (
    <div className="shell">
      <a className="skip" href="#content">
        {t('nav.skip')}
      </a>
      <Header
        username={username}
        paused={paused}
        setPaused={setPaused}
        openMenu={() => setMenu(true)}
        openPalette={() => setOver('palette')}
        openKeys={() => setOver('keys')}
      />
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
        <Connection streaming={streaming} />
        {may('balancing:read') && <Unconfirmed />}
        <Outlet />
      </main>
      <Toasts />
      {over === 'palette' && <Palette close={() => setOver(null)} />}
      {over === 'keys' && <KeyHelp close={() => setOver(null)} />}
    </div>
  )
}

/** Ctrl-K anywhere; `g` and a letter, and `?`, where nobody types. */
function useGlobalKeys(setOver: (over: 'palette' | 'keys' | null) => void) {
  const navigate = useNavigate()
  const went = useRef(0)
  const go = (key: string) => () => {
    const place = PLACES.find((place) => place.key === key)
    if (Date.now() - went.current > 1500 || place === undefined) return false
    went.current = 0
    void navigate({ to: place.to })
    return true
  }
  useKeys({
    ...Object.fromEntries(PLACES.map(({ key }) => [key, go(key)])),
    g: () => void (went.current = Date.now()),
    '?': () => setOver('keys'),
  })
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== 'k' || !(event.ctrlKey || event.metaKey)) return
      event.preventDefault()
      setOver('palette')
    }
    document.addEventListener('keydown', press)
    return () => document.removeEventListener('keydown', press)
  }, [setOver])
}

function Navigation() {
  const { t } = useTranslation()
  const { data: services } = useQuery(servicesQuery)
  const may = useMay()
  const troubled = services?.filter((service) => needsAttention(serviceFacts(service))).length ?? 0
  return GROUPS.map((group) => {
    const places = PLACES.filter((place) => place.group === group && may(place.permission))
    if (places.length === 0) return null
    return (
      <Group key={group} title={t(`nav.${group}`)}>
        {places.map(({ to, label, icon: Icon }) => (
          <Link key={to} to={to} activeOptions={{ exact: to === '/', includeSearch: false }} className="nav-link">
            <Icon size={16} stroke={1.6} /> {t(label)}
            {to === '/virtual-services' && troubled > 0 && (
              <span className="badge" title={t('list.attention')}>
                {troubled}
              </span>
            )}
          </Link>
        ))}
      </Group>
    )
  })
}

function Group({ title, children }: { title: string; children: ReactNode }) {
  return (
    <div className="nav-group" role="group" aria-label={title}>
      <p className="nav-title">{title}</p>
      {children}
    </div>
  )
}
