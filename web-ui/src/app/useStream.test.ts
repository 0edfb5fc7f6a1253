import { afterEach, expect, test, vi } from 'vitest'
import { listen, messages } from './useStream.ts'

afterEach(() => vi.unstubAllGlobals())

test('messages come whole, wherever the network cuts them', async () => {
  const pieces = [': hello\n\nid: 7\neve', 'nt: pool.changed\ndata: {"a":\ndata: 1}\n', '\nid: 8\n\n', 'id: 9\n']
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece))
      controller.close()
    },
  })
  const found = []
  for await (const message of messages(body)) found.push(message)
  expect(found).toEqual([{}, { id: '7', event: 'pool.changed', data: '{"a":\n1}' }, { id: '8' }])
})

/** Listens while the server gives these answers, one after the other; then it is over. */
async function hear(...answers: (() => Response)[]) {
  const stop = new AbortController()
  const said: (boolean | 'refused')[] = []
  vi.stubGlobal('fetch', async () => {
    const next = answers.shift()
    if (next !== undefined) return next()
    stop.abort()
    throw new Error('over')
  })
  const refused = async () => {
    said.push('refused')
    stop.abort()
  }
  const setConnected = (there: boolean) => void said.push(there)
  await listen({ last: { current: '' }, take: () => {}, refused, setConnected, signal: stop.signal }, 0)
  return said
}
const events = () => new Response('id: 1\n\n')
const away = () => new Response(null, { status: 503 })

test('a stream that breaks off once is not worth a word', async () => {
  expect(await hear(events, events)).toEqual([true, true])
  expect(await hear(away, away, events)).toEqual([true])
  expect(await hear(away, away, away, events)).toEqual([false, true])
})

test('where the session has ended nobody goes on asking', async () => {
  expect(await hear(() => new Response(null, { status: 401 }), events)).toEqual(['refused'])
})
