import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { pageTexts } from '../i18n/index.ts'
import { Empty } from '../ui/Empty.tsx'
import { listSearch } from '../ui/list/search.ts'
import { connectionSearch } from '../pages/connections/query.ts'
import { requestSearch } from '../pages/requests/query.ts'
import { Gate } from './Gate.tsx'
import { Shell } from './Shell.tsx'

const root = createRootRoute({
  component: () => <Gate>{(username) => <Shell username={username} />}</Gate>,
  notFoundComponent: NotFound,
})
const under = () => root

/** A page with its texts. */
const page = <T extends Record<string, unknown>, K extends keyof T & string>(load: () => Promise<T>, name: K) =>
  lazyRouteComponent(async () => (await Promise.all([load(), pageTexts()]))[0], name)

const dashboard = createRoute({
  getParentRoute: under,
  path: '/',
  component: lazyRouteComponent(() => import('../pages/dashboard/Dashboard.tsx'), 'Dashboard'),
})

const services = createRoute({
  getParentRoute: under,
  path: '/virtual-services',
  validateSearch: listSearch,
  component: page(() => import('../pages/virtual-services/List.tsx'), 'ServiceList'),
})
const service = createRoute({
  getParentRoute: () => services,
  path: '$serviceId',
  component: page(() => import('../pages/virtual-services/Detail.tsx'), 'ServiceDetail'),
})

const pools = createRoute({
  getParentRoute: under,
  path: '/pools',
  validateSearch: listSearch,
  component: page(() => import('../pages/pools/List.tsx'), 'PoolList'),
})
const pool = createRoute({
  getParentRoute: () => pools,
  path: '$poolId',
  component: page(() => import('../pages/pools/Detail.tsx'), 'PoolDetail'),
})

const virtualIps = createRoute({
  getParentRoute: under,
  path: '/virtual-ips',
  validateSearch: listSearch,
  component: page(() => import('../pages/virtual-ips/List.tsx'), 'VirtualIpList'),
})
const virtualIp = createRoute({
  getParentRoute: () => virtualIps,
  path: '$virtualIpId',
  component: page(() => import('../pages/virtual-ips/Detail.tsx'), 'VirtualIpDetail'),
})

const monitors = createRoute({
  getParentRoute: under,
  path: '/monitors',
  validateSearch: listSearch,
  component: page(() => import('../pages/monitors/List.tsx'), 'MonitorList'),
})

const events = createRoute({
  getParentRoute: under,
  path: '/events',
  validateSearch: listSearch,
  component: page(() => import('../pages/history/Events.tsx'), 'Events'),
})
const revisions = createRoute({
  getParentRoute: under,
  path: '/revisions',
  validateSearch: listSearch,
  component: page(() => import('../pages/history/Revisions.tsx'), 'Revisions'),
})
const revision = createRoute({
  getParentRoute: () => revisions,
  path: '$generation',
  component: page(() => import('../pages/history/Revision.tsx'), 'Revision'),
})
const audit = createRoute({
  getParentRoute: under,
  path: '/audit',
  validateSearch: listSearch,
  component: page(() => import('../pages/history/Audit.tsx'), 'Audit'),
})
const users = createRoute({
  getParentRoute: under,
  path: '/users',
  validateSearch: listSearch,
  component: page(() => import('../pages/users/List.tsx'), 'UserList'),
})
const projects = createRoute({
  getParentRoute: under,
  path: '/projects',
  validateSearch: listSearch,
  component: page(() => import('../pages/projects/List.tsx'), 'ProjectList'),
})
const webhooks = createRoute({
  getParentRoute: under,
  path: '/webhooks',
  validateSearch: listSearch,
  component: page(() => import('../pages/webhooks/List.tsx'), 'WebhookList'),
})
const profile = createRoute({
  getParentRoute: under,
  path: '/profile',
  component: page(() => import('../pages/users/Profile.tsx'), 'Profile'),
})

const certificates = createRoute({
  getParentRoute: under,
  path: '/certificates',
  validateSearch: listSearch,
  component: page(() => import('../pages/certificates/List.tsx'), 'CertificateList'),
})
const metrics = createRoute({
  getParentRoute: under,
  path: '/charts',
  validateSearch: (search: Record<string, unknown>): { of?: string | undefined; minutes?: number | undefined } => ({
    ...(typeof search.of === 'string' ? { of: search.of } : {}),
    ...(typeof search.minutes === 'number' ? { minutes: search.minutes } : {}),
  }),
  component: page(() => import('../pages/metrics/Metrics.tsx'), 'Metrics'),
})
const network = createRoute({
  getParentRoute: under,
  path: '/network',
  component: page(() => import('../pages/network/Network.tsx'), 'Network'),
})
const system = createRoute({
  getParentRoute: under,
  path: '/system',
  component: page(() => import('../pages/system/System.tsx'), 'System'),
})
const start = createRoute({
  getParentRoute: under,
  path: '/start',
  component: page(() => import('../pages/start/Start.tsx'), 'Start'),
})
const policies = createRoute({
  getParentRoute: under,
  path: '/policies',
  validateSearch: listSearch,
  component: page(() => import('../pages/policies/List.tsx'), 'PolicyList'),
})
const tester = createRoute({
  getParentRoute: () => policies,
  path: 'test',
  component: page(() => import('../pages/policies/RequestTester.tsx'), 'RequestTester'),
})
const connections = createRoute({
  getParentRoute: under,
  path: '/connections',
  validateSearch: connectionSearch,
  component: page(() => import('../pages/connections/Connections.tsx'), 'Connections'),
})
const packetTester = createRoute({
  getParentRoute: () => connections,
  path: 'test',
  component: page(() => import('../pages/connections/PacketTester.tsx'), 'PacketTester'),
})
const requests = createRoute({
  getParentRoute: under,
  path: '/requests',
  validateSearch: requestSearch,
  component: page(() => import('../pages/requests/Requests.tsx'), 'Requests'),
})
const topology = createRoute({
  getParentRoute: under,
  path: '/topology',
  validateSearch: listSearch,
  component: page(() => import('../pages/topology/Topology.tsx'), 'Topology'),
})
const access = createRoute({
  getParentRoute: under,
  path: '/access',
  component: page(() => import('../pages/access/Access.tsx'), 'Access'),
})
const settings = createRoute({
  getParentRoute: under,
  path: '/settings',
  component: page(() => import('../pages/settings/Settings.tsx'), 'Settings'),
})
const reference = createRoute({
  getParentRoute: under,
  path: '/reference',
  component: page(() => import('../pages/reference/Reference.tsx'), 'Reference'),
})
const pending = createRoute({
  getParentRoute: under,
  path: '/pending',
  component: page(() => import('../pages/pending/Pending.tsx'), 'Pending'),
})
const configuration = createRoute({
  getParentRoute: under,
  path: '/configuration',
  component: page(() => import('../pages/configuration/Configuration.tsx'), 'Configuration'),
})
const backups = createRoute({
  getParentRoute: under,
  path: '/backups',
  component: page(() => import('../pages/backups/Backups.tsx'), 'Backups'),
})

export const router = createRouter({
  routeTree: root.addChildren([
    dashboard,
    services.addChildren([service]),
    pools.addChildren([pool]),
    virtualIps.addChildren([virtualIp]),
    monitors,
    events,
    revisions.addChildren([revision]),
    audit,
    certificates,
    start,
    policies.addChildren([tester]),
    connections.addChildren([packetTester]),
    requests,
    topology,
    access,
    settings,
    reference,
    metrics,
    network,
    system,
    pending,
    configuration,
    backups,
    users,
    projects,
    webhooks,
    profile,
  ]),
  defaultPreload: 'intent',
})

declare module '@tanstack/react-router' {
  interface Register {
    router: typeof router
  }
}

function NotFound() {
  const { t } = useTranslation()
  return (
    <Empty title={t('notFound')}>
      <Link to="/">{t('common.back')}</Link>
    </Empty>
  )
}
