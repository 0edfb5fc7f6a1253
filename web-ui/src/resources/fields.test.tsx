import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { renderHook } from '@testing-library/react'
import { readFileSync } from 'node:fs'
import type { ReactNode } from 'react'
import { expect, test } from 'vitest'
import { type Field, patched, valuesOf } from '../ui/form/fields.ts'
import { useUserFields } from './accounts.ts'
import { certificateFields } from './certificates.ts'
import { useMonitorFields } from './monitors.ts'
import { usePolicyFields } from './policies.ts'
import { useMemberFields, usePoolFields } from './pools.ts'
import { projectFields } from './projects.ts'
import { useServiceFields, virtualIpFields } from './services.ts'
import { interfaceFields, MACHINE, SYSLOG } from './settings.ts'
import { webhookFields } from './webhooks.ts'

interface Schema {
  type?: string | string[]
  properties?: Record<string, Schema>
  items?: Schema
  oneOf?: Schema[]
  anyOf?: Schema[]
  $ref?: string
}

const description = JSON.parse(readFileSync('../appliance/server/openapi.json', 'utf8')) as {
  components: { schemas: Record<string, Schema> }
}
const { schemas } = description.components

/** The schema itself, where it is only named; of a nullable one what is not null. */
function resolved(schema: Schema): Schema[] {
  if (schema.$ref !== undefined) return resolved(schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {})
  const ways = schema.oneOf ?? schema.anyOf
  return ways === undefined ? [schema] : ways.flatMap(resolved)
}

/** Every value that can be written, by its path; lists are one value. */
function paths(schema: Schema, before = ''): string[] {
  return resolved(schema).flatMap(({ properties = {} }) =>
    Object.keys(properties).length === 0
      ? []
      : Object.entries(properties).flatMap(([key, inner]) => {
          const found = paths(inner, `${before}${key}.`)
          return found.length === 0 ? [`${before}${key}`] : found
        }),
  )
}

const client = new QueryClient({ defaultOptions: { queries: { enabled: false } } })
const wrapper = ({ children }: { children: ReactNode }) => (
  <QueryClientProvider client={client}>{children}</QueryClientProvider>
)
const fieldsOf = (useFields: () => readonly Field[]) => renderHook(useFields, { wrapper }).result.current

const FORMS: Record<string, () => readonly Field[]> = {
  VirtualIpSpec: () => virtualIpFields,
  VirtualServiceSpec: useServiceFields,
  PoolSpec: usePoolFields,
  MemberSpec: useMemberFields,
  MonitorSpec: useMonitorFields,
  PolicySpec: usePolicyFields,
  CertificateSpec: () => certificateFields(true),
  UserSpec: useUserFields,
  WebhookSpec: () => webhookFields,
  ProjectSpec: () => projectFields,
}

/** What only the console says: which of a policy's decisions there is, and whether there is an object at all. */
const OWN = [
  ...['decision', 'outlier', 'queue', 'breaker', 'tls', 'tls.hsts', 'tls.client_auth', 'compression', 'jwt', 'cors'],
  'basic_auth',
]

/** What the API takes and the console does not offer yet: projects, and certificates as PKCS#12. */
const ELSEWHERE = ['project_id', 'pkcs12', 'passphrase']

test.each(Object.keys(FORMS))('the form of %s has what can be written, and nothing else', (name) => {
  const there = new Set(fieldsOf(FORMS[name]!).map(({ path }) => path))
  const wanted = [...new Set(paths({ $ref: `#/components/schemas/${name}` }))].filter(
    (path) => path !== 'settings' && !ELSEWHERE.includes(path),
  )
  expect(wanted.length).toBeGreaterThan(4)
  expect(wanted.filter((path) => !there.has(path))).toEqual([])
  expect([...there].filter((path) => !wanted.includes(path) && !OWN.includes(path))).toEqual([])
})

test('every setting of the machine has its field, interface by interface', () => {
  const there = [...MACHINE, ...SYSLOG].map(({ path }) => path)
  const wanted = paths({ $ref: '#/components/schemas/SettingsPatch' }).filter((path) => path !== 'interfaces')
  expect(wanted.filter((path) => !there.includes(path))).toEqual([])
  const ofOne = paths({ $ref: '#/components/schemas/Interface' }).map((path) => `interfaces.port1.${path}`)
  expect(interfaceFields('port1').map(({ path }) => path)).toEqual(ofOne)
})

test('a change of one interface leaves the others out', () => {
  const fields = interfaceFields('management')
  const settings = { interfaces: { management: { address: '192.0.2.10/24', gateway: null, routes: [] }, port1: {} } }
  const before = valuesOf(fields, settings)
  const after = { ...before, 'interfaces.management.address': ' ', 'interfaces.management.gateway': '192.0.2.1' }
  expect(patched(fields, before, after)).toEqual({
    interfaces: { management: { address: null, gateway: '192.0.2.1' } },
  })
})
