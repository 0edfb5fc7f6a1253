import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { act, renderHook, waitFor } from '@testing-library/react'
import { expect, test, vi } from 'vitest'
import { ApiProblem } from '../api/problem.ts'
import { keys } from '../api/queries.ts'
import { useSession } from './useSession.ts'

/** What the appliance answers next. */
const asked = vi.hoisted(() => vi.fn())
vi.mock('../api/queries.ts', async (original) => {
  const queries = await original<typeof import('../api/queries.ts')>()
  return { ...queries, sessionQuery: { ...queries.sessionQuery, queryFn: asked } }
})

test('who is signing in stays where they are while the session is asked for again', async () => {
  const queries = new QueryClient()
  asked.mockRejectedValueOnce(new ApiProblem(401, 'unauthenticated', 'no token', '', []))
  const { result } = renderHook(() => useSession(), {
    wrapper: ({ children }) => <QueryClientProvider client={queries}>{children}</QueryClientProvider>,
  })
  expect(result.current.state).toBe('loading')
  await waitFor(() => expect(result.current.state).toBe('signed-out'))
  let answer: (session: unknown) => void = () => {}
  asked.mockReturnValueOnce(new Promise((resolve) => (answer = resolve)))
  act(() => void queries.invalidateQueries({ queryKey: keys.session }))
  await waitFor(() => expect(asked).toHaveBeenCalledTimes(2))
  expect(result.current.state).toBe('signed-out')
  await act(async () => answer({ username: 'admin' }))
  await waitFor(() => expect(result.current).toEqual({ state: 'signed-in', username: 'admin' }))
})
