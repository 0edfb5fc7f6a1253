import { render, screen } from '@testing-library/react'
import i18next from 'i18next'
import { initReactI18next } from 'react-i18next'
import { beforeAll, expect, test } from 'vitest'
import { en } from '../i18n/en.ts'
import { pagesEn } from '../i18n/pages-en.ts'
import { Changes } from './Changes.tsx'

beforeAll(async () => {
  await i18next.use(initReactI18next).init({ lng: 'en', resources: { en: { translation: en } } })
  i18next.addResourceBundle('en', 'translation', pagesEn, true, true)
})

test('objects are told value by value, in the words of the forms', () => {
  const fields = [
    { pointer: '/retries', before: { attempts: 2, codes: [] }, after: { attempts: 3, codes: [] } },
    { pointer: '/persistence', before: null, after: { kind: 'header', name: 'x-user' } },
    { pointer: '/slow_start_s', before: 0, after: 30 },
  ]
  const change = { resource: 'pools', id: '1', parent_id: null, name: 'shop', action: 'update', fields }
  render(<Changes changes={[change as never]} />)
  const told = screen.getAllByRole('term').map((term) => `${term.textContent}: ${term.nextSibling?.textContent}`)
  expect(told).toEqual([
    'Retries: 2 → 3',
    'Persistence: – → A header',
    'Cookie or header: – → x-user',
    'Slow start: 0 → 30',
  ])
})
