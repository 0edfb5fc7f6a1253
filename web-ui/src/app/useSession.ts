/** Who is signed in, and keeping it so while the page is looked at. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useState } from 'react'
import { answer, api } from '../api/client.ts'
import { isProblem } from '../api/problem.ts'
import { keys, sessionQuery } from '../api/queries.ts'

/** Tokens last ten minutes. */
const RENEWED_MS = 4 * 60_000

export type Session =
  | { state: 'loading' }
  | { state: 'unclaimed' }
  | { state: 'signed-out' }
  | { state: 'unreachable'; error: Error; retry: () => void }
  | { state: 'signed-in'; username: string }

/**
 * How it stands. While that is asked again it is what it was: who is signing in keeps the form and all that was typed, whatever else
 * is asked meanwhile.
 */
export function useSession(): Session {
  const now = useAnswer()
  const [known, setKnown] = useState(now)
  if (now.state !== 'loading' && now.state !== known.state) setKnown(now)
  return now.state === 'loading' ? known : now
}

function useAnswer(): Session {
  const { data, error, isPending, refetch } = useQuery(sessionQuery)
  // A session that ended keeps its data until somebody signs in again: the error says more.
  if (isProblem(error, 'unclaimed')) return { state: 'unclaimed' }
  if (isProblem(error, 'unauthenticated')) return { state: 'signed-out' }
  if (data !== undefined) return { state: 'signed-in', username: data.username }
  if (isPending) return { state: 'loading' }
  return { state: 'unreachable', error, retry: () => void refetch() }
}

/** Asks for another token from time to time, as long as somebody can see the page. */
export function useRenewal(signedIn: boolean) {
  const queries = useQueryClient()
  useEffect(() => {
    if (!signedIn) return
    const renew = () => {
      if (document.hidden) return
      answer(api.POST('/api/v1/sessions/renew')).catch(() => queries.invalidateQueries({ queryKey: keys.session }))
    }
    const timer = setInterval(renew, RENEWED_MS)
    document.addEventListener('visibilitychange', renew)
    return () => {
      clearInterval(timer)
      document.removeEventListener('visibilitychange', renew)
    }
  }, [signedIn, queries])
}
