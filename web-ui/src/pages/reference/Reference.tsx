/** Every call of the API, from its own description; it needs no network beyond the appliance. */
import { Skeleton, TextInput } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { IconSearch } from '@tabler/icons-react'
import { useMemo, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { ApiProblem } from '../../api/problem.ts'
import { asCommands, asCurl } from '../../ui/form/commands.ts'
import { Empty } from '../../ui/Empty.tsx'
import { ProblemNote } from '../../ui/ProblemNote.tsx'
import { type Call, callsOf, type Description, rowsOf, type Schema, typeOf } from './description.ts'

const PATH = '/api/v1/openapi.json'

export function Reference() {
  const { t, i18n } = useTranslation()
  const [words, setWords] = useState('')
  const { data, error, refetch } = useQuery({
    queryKey: ['description'],
    queryFn: async ({ signal }) => {
      const answer = await fetch(PATH, { signal }).catch((cause: unknown) => {
        throw ApiProblem.unreachable(cause)
      })
      if (!answer.ok) throw ApiProblem.from(answer.status, await answer.json().catch(() => null))
      return (await answer.json()) as Description
    },
    staleTime: Infinity,
  })
  const groups = useMemo(() => {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean)
    const found = data && callsOf(data).filter((call) => fits(call, wanted))
    return data?.tags.flatMap((tag) => {
      const calls = found?.filter(({ tags }) => tags[0] === tag.name) ?? []
      return calls.length === 0 ? [] : [{ ...tag, calls }]
    })
  }, [data, words])
  return (
    <>
      <div className="page-head">
        <h1>{t('nav.apiReference')}</h1>
        <span className="tools">
          <a href={PATH} target="_blank" rel="noreferrer">
            OpenAPI 3.1
          </a>
          <a href="/api/v1/docs" target="_blank" rel="noreferrer">
            Swagger UI
          </a>
        </span>
      </div>
      <div className="stack wide">
        <p className="dim">
          {t('reference.lead')} {i18n.language !== 'en' && t('reference.english')}
        </p>
        <TextInput
          type="search"
          aria-label={t('list.filterOf', { list: t('nav.apiReference') })}
          placeholder={t('reference.filter')}
          leftSection={<IconSearch size={16} />}
          value={words}
          onChange={(event) => setWords(event.currentTarget.value)}
        />
        {error !== null && <ProblemNote error={error} retry={() => void refetch()} />}
        {data === undefined && error === null && <Skeleton className="late" height={240} />}
        {groups?.length === 0 && <Empty title={t('list.noMatch')} />}
        {data !== undefined &&
          groups?.map(({ name, description, calls }) => (
            <section key={name} className="card flush" aria-label={name}>
              <header className="filters">
                <h2 className="mono">{name}</h2>
                <span className="dim" lang="en">
                  {description}
                </span>
              </header>
              {calls.map((call) => (
                <One key={call.operationId} call={call} schemas={data.components.schemas} />
              ))}
            </section>
          ))}
      </div>
    </>
  )
}

const fits = ({ method, path, summary, description, operationId }: Call, words: readonly string[]) => {
  const text = `${method} ${path} ${summary} ${description} ${operationId}`.toLowerCase()
  return words.every((word) => text.includes(word))
}

type Schemas = Description['components']['schemas']

function One({ call, schemas }: { call: Call; schemas: Schemas }) {
  const [open, setOpen] = useState(false)
  const { method, path, summary } = call
  return (
    <details className="call" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <span className={`method method-${method.toLowerCase()}`}>{method}</span>
        <span className="mono call-path">{path}</span>
        <span className="dim cut" lang="en">
          {summary}
        </span>
      </summary>
      {open && <Inside call={call} schemas={schemas} />}
    </details>
  )
}

function Inside({ call, schemas }: { call: Call; schemas: Schemas }) {
  const { t } = useTranslation()
  const { description, parameters = [], requestBody, responses } = call
  const [[type, body] = []] = Object.entries(requestBody?.content ?? {})
  return (
    <div className="call-inside fields">
      {description !== undefined && <p lang="en">{description}</p>}
      {call['x-permission'] !== undefined && (
        <p className="small">
          {t('field.permissions')}: <code className="mono">{call['x-permission']}</code>
        </p>
      )}
      {parameters.length > 0 && (
        <Rows
          title={t('reference.parameters')}
          rows={parameters.map(({ name, required = false, description = '', schema }) => ({
            path: name,
            type: typeOf(schemas, schema),
            required,
            description,
          }))}
        />
      )}
      {body !== undefined && <Rows title={`${t('reference.body')} (${type})`} rows={rowsOf(schemas, body.schema)} />}
      <Answers responses={responses} schemas={schemas} />
      <pre className="mono example" tabIndex={0} aria-label={t('reference.example')}>
        {exampleOf(call, body?.example)}
      </pre>
    </div>
  )
}

function Rows({ title, rows }: { title: string; rows: readonly ReturnType<typeof rowsOf>[number][] }) {
  if (rows.length === 0) return null
  return (
    <div className="scroll-x" role="region" aria-label={title} tabIndex={0}>
      <table className="table reference">
        <caption>{title}</caption>
        <tbody>
          {rows.map(({ path, type, required, description }) => (
            <tr key={path}>
              <th scope="row" className="mono">
                {path}
                {required && <span className="tone-down"> *</span>}
              </th>
              <td>
                <p className="mono dim wrap-any">{type}</p>
                <p lang="en">{description}</p>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

function Answers({ responses, schemas }: { responses: Call['responses']; schemas: Schemas }) {
  const { t } = useTranslation()
  const entries = Object.entries(responses)
  const [, well] = entries.find(([code]) => code.startsWith('2')) ?? []
  const schema: Schema | undefined = well?.content?.['application/json']?.schema
  return (
    <>
      <p className="small">
        {t('reference.answers')}:{' '}
        {entries.map(([code]) => (
          <code key={code} className="mono comma">
            {code}
          </code>
        ))}
      </p>
      {schema !== undefined && <Rows title={t('reference.answer')} rows={rowsOf(schemas, schema)} />}
    </>
  )
}

/** The call for a script; for what `penstock` does, its command too. */
function exampleOf({ method, path }: Call, body: unknown): string {
  const url = path.replace(/\{(\w+)\}/g, (_, name: string) => `\${${name.toUpperCase()}}`)
  const call = { method: method as 'POST', url, ...(body === undefined ? {} : { body }) }
  const penstock = ['POST', 'PATCH', 'DELETE', 'GET'].includes(method) && path.startsWith('/api/v1/')
  return penstock ? `${asCurl([call])}\n\n${asCommands([call])}` : asCurl([call])
}
