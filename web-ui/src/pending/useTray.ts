/** The changes that who is signed in has collected and not applied yet: a changeset of theirs on the appliance. */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import type { Changeset, Operation } from '../api/client.ts'
import type { Collection } from '../api/collection.ts'
import { ApiProblem } from '../api/problem.ts'
import { changesetsQuery, sessionQuery } from '../api/queries.ts'
import { changesets } from '../api/resources.ts'
import { showToast } from '../ui/toasts.ts'
import { joined } from './operations.ts'

const TRIES = 3
/** Accounts do not wait, and a private key must not lie in a changeset, which others can read. */
const NEVER = new Set(['users', 'tokens', 'changesets', 'certificates'])

export const trayName = (username: string) => `console: ${username}`

/** What is pending, of whomever; and which of them is one's own. */
export function usePending() {
  const { data: session } = useQuery(sessionQuery)
  const { data: all } = useQuery(changesetsQuery)
  const mine = all?.find(({ name }) => session !== undefined && name === trayName(session.username))
  return { all, mine }
}

async function put(name: string, operations: readonly Operation[]): Promise<Changeset> {
  const [found] = (await changesets.list({ name })).items
  if (found === undefined) return changesets.create({ name, operations: [...operations] })
  const { view, etag } = await changesets.read(found.id)
  return changesets.patch(found.id, { operations: operations.reduce(joined, view.operations) }, etag)
}

/** From another window, meanwhile. */
const raced = (error: unknown) => error instanceof ApiProblem && (error.status === 412 || error.status === 409)

/** Puts edits into the tray. */
export function useTray() {
  const { t } = useTranslation()
  const queries = useQueryClient()
  const { data: session } = useQuery(sessionQuery)
  return async (operations: readonly Operation[]) => {
    const name = trayName(session?.username ?? '')
    for (let tries = 1; ; tries += 1) {
      try {
        const { operations: all } = await put(name, operations)
        await queries.invalidateQueries({ queryKey: [changesets.key] })
        showToast({ tone: 'up', text: t('pending.added', { count: all.length }) })
        return
      } catch (error) {
        if (tries === TRIES || !raced(error)) throw error
      }
    }
  }
}

/** Whether edits of these can wait. */
export const canWait = ({ kind }: Pick<Collection, 'kind'>) => !NEVER.has(kind)

/** What is to be created gets its name here, so that other edits can refer to it. */
export const creation = ({ kind, parentId }: Pick<Collection, 'kind' | 'parentId'>, document: object): Operation => ({
  action: 'create',
  resource: kind,
  id: crypto.randomUUID(),
  parent_id: parentId,
  document: document as never,
})

export const update = ({ kind }: Pick<Collection, 'kind'>, id: string, document: object): Operation => ({
  action: 'update',
  resource: kind,
  id,
  document: document as never,
})

export const removal = ({ kind }: Pick<Collection, 'kind'>, id: string): Operation => ({
  action: 'delete',
  resource: kind,
  id,
  document: {} as never,
})
