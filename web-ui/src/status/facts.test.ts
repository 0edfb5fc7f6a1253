import { expect, test } from 'vitest'
import type { Member, VirtualService } from '../api/client.ts'
import { needsAttention, serviceFacts } from './facts.ts'

const service = (change: Partial<VirtualService> = {}) =>
  ({
    enabled: true,
    default_pool_id: 'pool',
    operating_status: 'unknown',
    provisioning_status: 'applied',
    ...change,
  }) as VirtualService
const member = (state: Member['state'], enabled = true) => ({ state, enabled }) as Member

test('without a member that takes connections a service is down, whatever else is known', () => {
  const health = (members: Member[]) => serviceFacts(service(), members).health
  expect(health([])).toBe('down')
  expect(health([member('disabled'), member('drain'), member('enabled', false)])).toBe('down')
  expect(health([member('disabled'), member('enabled')])).toBe('unknown')
  expect(serviceFacts(service({ default_pool_id: null }), []).reason).toBe('noPool')
})

test('the three facts do not mix', () => {
  const facts = serviceFacts(service({ enabled: false, provisioning_status: 'failed' }), [member('enabled')])
  expect(facts).toMatchObject({ admin: 'disabled', health: 'off', sync: 'failed' })
})

test('what an operator switched off needs nobody; what was refused does', () => {
  expect(needsAttention(serviceFacts(service({ enabled: false }), []))).toBe(false)
  expect(needsAttention(serviceFacts(service(), []))).toBe(true)
  expect(needsAttention(serviceFacts(service({ provisioning_status: 'pending' }), [member('enabled')]))).toBe(true)
})
