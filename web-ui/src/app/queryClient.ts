import { MutationCache, QueryCache, QueryClient } from '@tanstack/react-query'
import { ApiProblem, isProblem } from '../api/problem.ts'
import { keys } from '../api/queries.ts'

/** A refusal anywhere means that the session has ended: the gate finds out and asks. */
export function makeQueryClient(): QueryClient {
  const onError = (error: Error, key?: readonly unknown[]) => {
    if (isProblem(error, 'unauthenticated') && key?.[0] !== keys.session[0]) {
      void queries.invalidateQueries({ queryKey: keys.session })
    }
  }
  const queries = new QueryClient({
    queryCache: new QueryCache({ onError: (error, query) => onError(error, query.queryKey) }),
    mutationCache: new MutationCache({ onError: (error) => onError(error) }),
    defaultOptions: {
      queries: {
        staleTime: 1000,
        // What the server has understood and refused is not asked again at once.
        retry: (failures, error) => failures < 2 && !(error instanceof ApiProblem && error.status >= 400),
        retryDelay: 1000,
      },
    },
  })
  return queries
}
