import { expect, test } from 'vitest'
import type { Member, VirtualService } from '../api/client.ts'
import { memberFacts, needsAttention, serviceFacts } from './facts.ts'

const service = (change: Partial<VirtualService> = {}) =>
  ({
    enabled: true,
    default_pool_id: 'pool',
    operating_status: 'unknown',
    provisioning_status: 'applied',
    status_reason: null,
    ...change,
  }) as VirtualService

test('a service that cannot serve is down, and says why', () => {
  expect(serviceFacts(service({ operating_status: 'offline' }))).toMatchObject({ health: 'down', reason: 'observed' })
  const without = service({ operating_status: 'offline', default_pool_id: null })
  expect(serviceFacts(without)).toMatchObject({ health: 'down', reason: 'noPool' })
})

test('the three facts do not mix', () => {
  const facts = serviceFacts(service({ enabled: false, operating_status: 'offline', provisioning_status: 'failed' }))
  expect(facts).toMatchObject({ admin: 'disabled', health: 'off', sync: 'failed' })
  const member = { enabled: true, state: 'drain', operating_status: 'draining', provisioning_status: 'applied' }
  expect(memberFacts(member as Member)).toMatchObject({ admin: 'draining', health: 'draining' })
})

test('what an operator switched off needs nobody; what was refused does', () => {
  expect(needsAttention(serviceFacts(service({ enabled: false, operating_status: 'offline' })))).toBe(false)
  expect(needsAttention(serviceFacts(service({ operating_status: 'offline' })))).toBe(true)
  expect(needsAttention(serviceFacts(service({ provisioning_status: 'pending' })))).toBe(true)
})
