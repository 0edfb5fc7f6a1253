import { MantineProvider } from '@mantine/core'
import { cleanup, fireEvent, render, screen } from '@testing-library/react'
import i18next from 'i18next'
import { initReactI18next } from 'react-i18next'
import { afterEach, beforeAll, expect, test, vi } from 'vitest'
import { en } from '../../i18n/en.ts'
import { theme } from '../../theme/theme.ts'
import { DataTable } from './DataTable.tsx'
import { Search } from './ListPage.tsx'

beforeAll(async () => {
  await i18next.use(initReactI18next).init({ lng: 'en', resources: { en: { translation: en } } })
})
afterEach(cleanup)

interface Pool {
  id: string
}

const columns = [{ id: 'name', title: 'Name', cell: ({ id }: Pool) => id }]

/** A list of these; what is opened is told to `open`. */
function list(ids: string[], open = vi.fn()) {
  return (
    <MantineProvider theme={theme} withCssVariables={false} withGlobalClasses={false}>
      <DataTable
        label="Pools"
        rows={ids.map((id) => ({ id }))}
        columns={columns}
        idOf={({ id }) => id}
        nameOf={({ id }) => id}
        open={({ id }) => void open(id)}
      />
    </MantineProvider>
  )
}

const press = (key: string) => fireEvent.keyDown(document.activeElement ?? document.body, { key })
const inFocus = () => document.activeElement?.textContent

test('keys go from row to row, and open the one that they are at', () => {
  const open = vi.fn()
  render(list(['a', 'b', 'c'], open))
  press('j')
  press('j')
  expect(inFocus()).toBe('b')
  press('k')
  press('Enter')
  expect(open.mock.calls).toEqual([['a']])
})

test('a row that moves, goes and comes back keeps the focus', () => {
  const open = vi.fn()
  const { rerender } = render(list(['a', 'b', 'c'], open))
  press('j')
  press('j')
  rerender(list(['c', 'b', 'a'], open))
  expect(inFocus()).toBe('b')
  rerender(list(['c', 'a'], open))
  expect(document.activeElement).toBe(document.body)
  rerender(list(['a', 'c', 'b'], open))
  expect(inFocus()).toBe('b')
  press('Enter')
  expect(open.mock.calls).toEqual([['b']])
})

test('nobody is called back who went elsewhere; the next key goes on from there', () => {
  const open = vi.fn()
  const { rerender } = render(list(['a', 'b', 'c'], open))
  press('j')
  press('j')
  screen.getByText('b').closest('tr')?.blur()
  rerender(list(['c', 'a', 'b'], open))
  expect(document.activeElement).toBe(document.body)
  press('Enter')
  expect(open).not.toHaveBeenCalled()
  press('k')
  expect(inFocus()).toBe('a')
})

test('what is typed stays, though the address is later', () => {
  const change = vi.fn()
  render(
    <MantineProvider theme={theme} withCssVariables={false} withGlobalClasses={false}>
      <Search value="" onChange={change} label="Pools" />
    </MantineProvider>,
  )
  const field = screen.getByRole<HTMLInputElement>('searchbox')
  field.focus()
  fireEvent.change(field, { target: { value: 's' } })
  expect(field.value).toBe('s')
  fireEvent.change(field, { target: { value: `${field.value}h` } })
  expect(change.mock.calls).toEqual([['s'], ['sh']])
})
