/**
 * Changes to what somebody has seen. The list that they look at has no ETags, so what is there is read once more: if it was
 * changed since it was shown, nothing is written, and they are told.
 */
import type { Collection } from './collection.ts'
import { ApiProblem } from './problem.ts'

interface Seen {
  id: string
  generation: number
}

async function current(from: Collection<Seen, never>, { id, generation }: Seen): Promise<string> {
  const { view, etag } = await from.read(id)
  if (view.generation !== generation) throw new ApiProblem(412, 'stale', 'changed meanwhile', '', [])
  return etag
}

export async function changeSeen<View extends Seen, Spec>(
  from: Collection<View, Spec>,
  seen: Seen,
  body: Partial<Spec>,
): Promise<View> {
  return from.patch(seen.id, body, await current(from as never, seen))
}

export async function removeSeen(from: Collection<never, never>, seen: Seen): Promise<void> {
  await from.remove(seen.id, await current(from, seen))
}
