/** Where one can go: the navigation, the palette and the keys are made from this. */
import {
  IconAdjustments,
  IconApi,
  IconArchive,
  IconArrowsSplit,
  IconBell,
  IconCertificate,
  IconChartLine,
  IconFileCode,
  IconFolders,
  IconGitPullRequest,
  IconHeartbeat,
  IconHistory,
  IconLayoutDashboard,
  IconListDetails,
  IconMapPin,
  IconNetwork,
  IconPlugConnected,
  IconServer2,
  IconSettings,
  IconShieldCheck,
  IconShieldLock,
  IconSitemap,
  IconStack2,
  IconUsers,
  IconWebhook,
} from '@tabler/icons-react'
import type { Schemas } from '../api/client.ts'
import type { TextKey } from '../i18n/index.ts'

export interface Place {
  to:
    | '/'
    | '/access'
    | '/audit'
    | '/backups'
    | '/certificates'
    | '/charts'
    | '/configuration'
    | '/connections'
    | '/events'
    | '/monitors'
    | '/network'
    | '/pending'
    | '/policies'
    | '/pools'
    | '/projects'
    | '/reference'
    | '/requests'
    | '/revisions'
    | '/settings'
    | '/system'
    | '/topology'
    | '/users'
    | '/virtual-ips'
    | '/virtual-services'
    | '/webhooks'
  label: TextKey
  group: 'overview' | 'traffic' | 'observe' | 'system'
  icon: typeof IconServer2
  /** Pressed after `g`. */
  key: string
  /** Who lacks it does not see the place; without one everybody does. */
  permission?: Schemas['Permission']
}

export const GROUPS = ['overview', 'traffic', 'observe', 'system'] as const

export const PLACES: readonly Place[] = [
  {
    to: '/',
    label: 'nav.dashboard',
    group: 'overview',
    icon: IconLayoutDashboard,
    key: 'd',
    permission: 'balancing:read',
  },
  {
    to: '/topology',
    label: 'nav.topology',
    group: 'overview',
    icon: IconSitemap,
    key: 'y',
    permission: 'balancing:read',
  },
  {
    to: '/virtual-services',
    label: 'nav.services',
    group: 'traffic',
    icon: IconServer2,
    key: 'v',
    permission: 'balancing:read',
  },
  { to: '/pools', label: 'nav.pools', group: 'traffic', icon: IconStack2, key: 'p', permission: 'balancing:read' },
  {
    to: '/policies',
    label: 'nav.policies',
    group: 'traffic',
    icon: IconArrowsSplit,
    key: 'l',
    permission: 'balancing:read',
  },
  {
    to: '/monitors',
    label: 'nav.monitors',
    group: 'traffic',
    icon: IconHeartbeat,
    key: 'm',
    permission: 'balancing:read',
  },
  {
    to: '/certificates',
    label: 'nav.certificates',
    group: 'traffic',
    icon: IconCertificate,
    key: 't',
    permission: 'balancing:read',
  },
  { to: '/virtual-ips', label: 'nav.vips', group: 'traffic', icon: IconMapPin, key: 'i', permission: 'balancing:read' },
  {
    to: '/access',
    label: 'nav.access',
    group: 'traffic',
    icon: IconShieldLock,
    key: 'b',
    permission: 'balancing:read',
  },
  {
    to: '/connections',
    label: 'nav.connections',
    group: 'observe',
    icon: IconPlugConnected,
    key: 'q',
    permission: 'balancing:read',
  },
  {
    to: '/requests',
    label: 'nav.requests',
    group: 'observe',
    icon: IconListDetails,
    key: 'j',
    permission: 'balancing:read',
  },
  {
    to: '/charts',
    label: 'nav.metrics',
    group: 'observe',
    icon: IconChartLine,
    key: 'x',
    permission: 'balancing:read',
  },
  {
    to: '/network',
    label: 'nav.network',
    group: 'observe',
    icon: IconNetwork,
    key: 'w',
    permission: 'balancing:read',
  },
  { to: '/events', label: 'nav.events', group: 'observe', icon: IconBell, key: 'e', permission: 'balancing:read' },
  {
    to: '/webhooks',
    label: 'nav.webhooks',
    group: 'observe',
    icon: IconWebhook,
    key: 'n',
    permission: 'balancing:read',
  },
  {
    to: '/pending',
    label: 'nav.pending',
    group: 'system',
    icon: IconGitPullRequest,
    key: 'c',
    permission: 'balancing:read',
  },
  {
    to: '/configuration',
    label: 'nav.configuration',
    group: 'system',
    icon: IconFileCode,
    key: 'f',
    permission: 'balancing:read',
  },
  {
    to: '/revisions',
    label: 'nav.revisions',
    group: 'system',
    icon: IconHistory,
    key: 'r',
    permission: 'balancing:read',
  },
  {
    to: '/backups',
    label: 'nav.backups',
    group: 'system',
    icon: IconArchive,
    key: 'z',
    permission: 'system:read',
  },
  {
    to: '/projects',
    label: 'nav.projects',
    group: 'system',
    icon: IconFolders,
    key: 'k',
    permission: 'balancing:read',
  },
  { to: '/users', label: 'nav.users', group: 'system', icon: IconUsers, key: 'u', permission: 'accounts:read' },
  { to: '/audit', label: 'nav.audit', group: 'system', icon: IconShieldCheck, key: 'a', permission: 'audit:read' },
  { to: '/system', label: 'nav.appliance', group: 'system', icon: IconSettings, key: 's', permission: 'system:read' },
  {
    to: '/settings',
    label: 'nav.settings',
    group: 'system',
    icon: IconAdjustments,
    key: 'o',
    permission: 'system:read',
  },
  { to: '/reference', label: 'nav.apiReference', group: 'system', icon: IconApi, key: 'h' },
]
