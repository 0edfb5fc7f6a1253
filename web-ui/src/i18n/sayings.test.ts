import { expect, test } from 'vitest'
import { saidInChinese } from './sayings-zh.ts'
import { sayingsOf } from './sayings.ts'

test('sentences within sentences are said too', () => {
  expect(saidInChinese('pool `shop` is offline: no member is up: all 3 are down: the backup pool is asked')).toBe(
    '服务器池 `shop` 故障：全部 3 个成员故障；尝试备用池',
  )
  expect(saidInChinese('member 198.18.2.3:80 is down: HTTP 503, want 200-399')).toBe(
    '成员 198.18.2.3:80 故障：HTTP 503，期望 200-399',
  )
  expect(saidInChinese('connect timed out after 0.5 s')).toBe('0.5 秒内未能连接')
})

test('what nobody translated is shown as it is said', () => {
  expect(saidInChinese('the moon is full')).toBe('the moon is full')
  expect(saidInChinese('pool `shop` is offline: the moon is full')).toBe('服务器池 `shop` 故障：the moon is full')
})

test('names are no patterns, and cannot take long', () => {
  const say = sayingsOf([['pool `{a}` is {b}: {S}', '$& {a} {b} {S}']])
  expect(say('pool `$1 {b} (.*)` is up: pool `x` is y: z')).toBe('$& $1 {b} (.*) up $& x y z')
  const begun = performance.now()
  saidInChinese(`${'of 1 pools '.repeat(20_000)}x`)
  saidInChinese(`pool \`${'` is offline: '.repeat(140)}`)
  expect(performance.now() - begun).toBeLessThan(5000)
})
