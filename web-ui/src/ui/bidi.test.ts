import { expect, test } from 'vitest'
import { isolated, sentence } from './bidi.ts'

test('a plain word stays as it is', () => {
  expect(isolated('shop 闸流 🚰 <img>')).toBe('shop 闸流 🚰 <img>')
})

test('what turns the direction ends with the word', () => {
  expect(isolated('\u202Eabc')).toBe('\u2068\u202Eabc\u2069')
  expect(isolated('שלום')).toBe('\u2068שלום\u2069')
})

test('nobody gets out of the bounds, or leaves others open', () => {
  expect(isolated('a\u2069b\u202E')).toBe('\u2068ab\u202E\u2069')
  expect(isolated('a\u2067b')).toBe('\u2068a\u2067b\u2069\u2069')
  expect(isolated('a\u2067b\u2069c')).toBe('\u2068a\u2067b\u2069c\u2069')
})

test('names in sentences of the appliance are bounded', () => {
  expect(sentence('pool `\u202Ea` is offline: all 2 are down')).toBe(
    'pool `\u2068\u202Ea\u2069` is offline: all 2 are down',
  )
})
