/** Search or jump to: every place, every resource, what can be created. */
import { Modal } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { IconCircleDot, IconMapPin, IconPlus, IconSearch, IconServer2, IconStack2 } from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { poolsQuery, servicesQuery, virtualIpsQuery } from '../api/queries.ts'
import { PLACES } from './places.ts'
import { useMay } from './usePermission.ts'

interface Target {
  id: string
  group: string
  text: string
  aside?: string
  icon: typeof IconCircleDot
  go: () => void
}

const SHOWN = 12

export function Palette({ close }: { close: () => void }) {
  const { t } = useTranslation()
  const [words, setWords] = useState('')
  const [active, setActive] = useState(0)
  const targets = useTargets()
  const found = useMemo(() => {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean)
    const fits = ({ text, aside = '', group }: Target) => {
      const all = `${text} ${aside} ${group}`.toLowerCase()
      return wanted.every((word) => all.includes(word))
    }
    return targets.filter(fits).slice(0, SHOWN)
  }, [targets, words])
  const take = (target: Target | undefined) => {
    if (target === undefined) return
    close()
    target.go()
  }
  const press = (event: React.KeyboardEvent) => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0
    if (step !== 0) {
      event.preventDefault()
      setActive((now) => (now + step + found.length) % Math.max(1, found.length))
    } else if (event.key === 'Enter') {
      event.preventDefault()
      take(found[active])
    }
  }
  return (
    <Modal
      opened
      onClose={close}
      withCloseButton={false}
      size={600}
      padding={0}
      yOffset="12vh"
      centered={false}
      title={null}
      attributes={{ content: { 'aria-label': t('palette.title') } }}
    >
      <div className="palette">
        <div className="palette-input">
          <IconSearch size={18} aria-hidden="true" />
          <input
            data-autofocus
            role="combobox"
            aria-label={t('palette.title')}
            aria-expanded="true"
            aria-controls="palette-list"
            aria-activedescendant={found[active] && `palette-${found[active].id}`}
            placeholder={t('palette.placeholder')}
            value={words}
            onChange={(event) => {
              setWords(event.currentTarget.value)
              setActive(0)
            }}
            onKeyDown={press}
          />
          <kbd>Esc</kbd>
        </div>
        <ul id="palette-list" role="listbox" aria-label={t('palette.title')}>
          {found.map((target, index) => (
            <li
              key={target.id}
              id={`palette-${target.id}`}
              role="option"
              aria-selected={index === active}
              onPointerMove={() => setActive(index)}
              onClick={() => take(target)}
            >
              <target.icon size={16} stroke={1.6} aria-hidden="true" />
              <bdi className="cut grow">{target.text}</bdi>
              {target.aside !== undefined && <span className="mono dim cut">{target.aside}</span>}
              <span className="dim small">{target.group}</span>
            </li>
          ))}
        </ul>
        {found.length === 0 && <p className="palette-none dim">{t('list.noMatch')}</p>}
      </div>
    </Modal>
  )
}

function useTargets(): Target[] {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const may = useMay()
  const { data: services = [] } = useQuery(servicesQuery)
  const { data: pools = [] } = useQuery(poolsQuery)
  const { data: virtualIps = [] } = useQuery(virtualIpsQuery)
  return useMemo(
    () => [
      ...PLACES.filter(({ permission }) => may(permission)).map(({ to, label, icon, key }) => ({
        id: to,
        group: t('palette.go'),
        text: t(label),
        aside: `g ${key}`,
        icon,
        go: () => void navigate({ to }),
      })),
      ...services.map(({ id, name, port }) => ({
        id,
        group: t('detail.service'),
        text: name,
        aside: `:${port}`,
        icon: IconServer2,
        go: () => void navigate({ to: '/virtual-services/$serviceId', params: { serviceId: id } }),
      })),
      ...pools.map(({ id, name }) => ({
        id,
        group: t('detail.pool'),
        text: name,
        icon: IconStack2,
        go: () => void navigate({ to: '/pools/$poolId', params: { poolId: id } }),
      })),
      ...virtualIps.map(({ id, name, address }) => ({
        id,
        group: t('detail.virtualIp'),
        text: address,
        aside: name === address ? undefined : name,
        icon: IconMapPin,
        go: () => void navigate({ to: '/virtual-ips/$virtualIpId', params: { virtualIpId: id } }),
      })),
      ...(
        [
          ['/virtual-services', 'services.create'],
          ['/pools', 'pools.create'],
          ['/virtual-ips', 'vips.create'],
        ] as const
      ).map(([to, label]) => ({
        id: label,
        group: t('palette.do'),
        text: t(label),
        icon: IconPlus,
        go: () => void navigate({ to, search: { create: true } }),
      })),
    ],
    [t, navigate, may, services, pools, virtualIps],
  )
}
