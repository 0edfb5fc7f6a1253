import { createRootRoute, createRoute, createRouter, lazyRouteComponent, Link } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { Empty } from '../ui/Empty.tsx'
import { Gate } from './Gate.tsx'
import { Shell } from './Shell.tsx'

/** What the address of the list says of what is shown. */
export interface ListSearch {
  q?: string
  show?: 'attention'
  create?: true
}

const root = createRootRoute({
  component: () => <Gate>{(username) => <Shell username={username} />}</Gate>,
  notFoundComponent: NotFound,
})

const dashboard = createRoute({
  getParentRoute: () => root,
  path: '/',
  component: lazyRouteComponent(() => import('../pages/dashboard/Dashboard.tsx'), 'Dashboard'),
})

const services = createRoute({
  getParentRoute: () => root,
  path: '/virtual-services',
  validateSearch: (search: Record<string, unknown>): ListSearch => ({
    ...(typeof search.q === 'string' && search.q !== '' ? { q: search.q } : {}),
    ...(search.show === 'attention' ? { show: 'attention' as const } : {}),
    ...(search.create === true ? { create: true as const } : {}),
  }),
  component: lazyRouteComponent(() => import('../pages/virtual-services/List.tsx'), 'ServiceList'),
})

const service = createRoute({
  getParentRoute: () => services,
  path: '$serviceId',
  component: lazyRouteComponent(() => import('../pages/virtual-services/Detail.tsx'), 'ServiceDetail'),
})

export const router = createRouter({
  routeTree: root.addChildren([dashboard, services.addChildren([service])]),
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
