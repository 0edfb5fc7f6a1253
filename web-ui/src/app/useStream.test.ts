import { expect, test } from 'vitest'
import { messages } from './useStream.ts'

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
