/** What happened, in the reader's language. Who did it stands before what was done, and may be called anything. */
import type { Schemas } from '../api/client.ts'
import { said } from '../i18n/index.ts'
import { isolated, sentence } from '../ui/bidi.ts'

export function eventText({ message, data }: Pick<Schemas['Event'], 'message' | 'data'>): string {
  const author = (data as { author?: unknown } | null)?.author
  if (typeof author === 'string' && message.startsWith(`${author} `)) {
    return `${isolated(author)} ${sentence(said(message.slice(author.length + 1)))}`
  }
  return sentence(said(message))
}
