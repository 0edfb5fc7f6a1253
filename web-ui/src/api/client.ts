/** The API of the appliance that served this page. The browser holds the token in a cookie that no script sees. */
import createClient from 'openapi-fetch'
import type { components, paths } from './generated/schema.d.ts'
import { ApiProblem } from './problem.ts'

export type Schemas = components['schemas']
export type VirtualService = Schemas['VirtualServiceView']
export type VirtualIp = Schemas['VirtualIpView']
export type Pool = Schemas['PoolView']
export type Member = Schemas['MemberView']
export type Certificate = Schemas['CertificateView']
export type Monitor = Schemas['MonitorView']
export type User = Schemas['UserView']
export type MemberState = Schemas['MemberState']
export type Changeset = Schemas['ChangesetView']
export type Operation = Schemas['Operation']
export type Applied = Schemas['Applied']
export type Status = Schemas['Status']
export type Stats = Schemas['Stats']

// An ETag does not change with what is observed: a browser that asks whether its copy still holds would show old states.
export const api = createClient<paths>({ baseUrl: '', credentials: 'same-origin', cache: 'no-store' })

// The server takes changes with the cookie only beside this header, which no other site can send.
api.use({
  onRequest({ request }) {
    request.headers.set('X-Penstock-Console', '1')
    return request
  },
})

interface Result<T> {
  data?: T
  error?: unknown
  response: Response
}

/** What came back, or throws why nothing did. */
export async function answer<T>(asking: Promise<Result<T>>): Promise<T> {
  return (await answerWithTag(asking)).data
}

/** The same with the ETag, for whoever goes on to change it. */
export async function answerWithTag<T>(asking: Promise<Result<T>>): Promise<{ data: T; etag: string }> {
  const { data, error, response } = await asking.catch((cause: unknown) => {
    throw ApiProblem.unreachable(cause)
  })
  if (!response.ok) throw ApiProblem.from(response.status, error)
  return { data: data as T, etag: response.headers.get('ETag') ?? '' }
}
