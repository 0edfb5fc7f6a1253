/**
 * One stream of events: what changed is read anew at once, and what is serious is said on every screen. It is read by `fetch`,
 * for a browser's own reader of such streams must know the names of all events beforehand.
 */
import { useQuery, useQueryClient } from '@tanstack/react-query'
import { useEffect, useRef, useState } from 'react'
import type { Schemas } from '../api/client.ts'
import { isProblem } from '../api/problem.ts'
import { keys, sessionQuery } from '../api/queries.ts'
import { eventText } from '../status/eventText.ts'
import { showToast } from '../ui/toasts.ts'

type Event = Schemas['Event']

const AGAIN_MS = 2000
const GATHERED_MS = 150
/** A stream that breaks off, or a page that is loaded anew, is back before anybody has to know: it is said after some seconds. */
const SAID_AFTER = 3
/** What comes anew by itself every second. */
const LIVE = new Set<unknown>(['stats', 'status', 'session'])

/** Says whether the stream is there. */
export function useStream(): boolean {
  const queries = useQueryClient()
  const [connected, setConnected] = useState(true)
  // Kept over an end of the session, so that nothing is missed that happened meanwhile.
  const last = useRef('')
  const { error } = useQuery(sessionQuery)
  const signedIn = !isProblem(error, 'unauthenticated')
  useEffect(() => {
    if (!signedIn) return
    const stop = new AbortController()
    let gathering: ReturnType<typeof setTimeout> | undefined
    let more = false
    // At once, and again after those that come with it: a member that goes down takes pools and services with it.
    const readAnew = () => {
      if (gathering !== undefined) {
        more = true
        return
      }
      void queries.invalidateQueries({
        predicate: ({ queryKey }) => !LIVE.has(queryKey[0]) && queryKey[2] !== 'edit',
      })
      gathering = setTimeout(() => {
        gathering = undefined
        if (!more) return
        more = false
        readAnew()
      }, GATHERED_MS)
    }
    const take = (event: Event) => {
      if (event.severity !== 'info' && !follows(event))
        showToast({ tone: event.severity === 'error' ? 'down' : 'degraded', text: eventText(event) })
      readAnew()
    }
    // If the session has ended, this ends the listening; signing in begins it again.
    const refused = () => queries.invalidateQueries({ queryKey: keys.session })
    void listen({ last, take, refused, setConnected, signal: stop.signal })
    return () => {
      stop.abort()
      clearTimeout(gathering)
    }
  }, [queries, signedIn])
  return connected
}

/** What is degraded is so because of a member, and a pool or an address that is down takes its service with it: of these other events tell. */
const follows = ({ kind }: Event) => /\.degraded$|^(pool|virtual_ip)\./.test(kind)

interface Listening {
  /** The number of the last event that came. */
  last: { current: string }
  take: (event: Event) => void
  /** Called where the server wants somebody to sign in. */
  refused: () => Promise<unknown>
  setConnected: (there: boolean) => void
  signal: AbortSignal
}

export async function listen({ last, take, refused, setConnected, signal }: Listening, again = AGAIN_MS) {
  let failures = 0
  while (!signal.aborted) {
    try {
      const headers = { Accept: 'text/event-stream', ...(last.current && { 'Last-Event-ID': last.current }) }
      const answer = await fetch('/api/v1/events/stream', { headers, signal, cache: 'no-store' })
      // Whoever may not read events has none to miss.
      if (answer.status === 403) return setConnected(true)
      if (answer.status === 401) await refused()
      if (!answer.ok || answer.body === null) throw new Error(`HTTP ${answer.status}`)
      failures = 0
      setConnected(true)
      for await (const message of messages(answer.body)) {
        if (message.id !== undefined) last.current = message.id
        if (message.data !== undefined) take(JSON.parse(message.data) as Event)
      }
    } catch {
      // Broken off, or not there: both are mended by asking again.
    }
    if (signal.aborted) return
    failures += 1
    if (failures >= SAID_AFTER) setConnected(false)
    await new Promise((resolve) => setTimeout(resolve, again))
  }
}

/** The messages of a stream (WHATWG HTML, server-sent events), each as its fields. */
export async function* messages(body: ReadableStream<Uint8Array>): AsyncGenerator<Record<string, string>> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader()
  let text = ''
  for (;;) {
    const { done, value } = await reader.read()
    if (done) return
    text += value.replaceAll('\r\n', '\n')
    const parts = text.split('\n\n')
    text = parts.pop() ?? ''
    for (const part of parts) yield fieldsOf(part)
  }
}

function fieldsOf(message: string): Record<string, string> {
  const fields: Record<string, string> = {}
  for (const line of message.split('\n')) {
    const colon = line.indexOf(':')
    if (colon <= 0) continue
    const value = line.slice(colon + 1).replace(/^ /, '')
    const name = line.slice(0, colon)
    fields[name] = name in fields ? `${fields[name]}\n${value}` : value
  }
  return fields
}
