/**
 * What would become of a request: which rules it is asked, who would get it, and what they would see of it. The layer-7 plane
 * decides as it does for clients; nothing is sent to anybody.
 */
import { Drawer } from '@mantine/core'
import { useMutation, useQuery } from '@tanstack/react-query'
import { Link, useNavigate } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { answer, api, type Schemas } from '../../api/client.ts'
import { membersQuery, poolsQuery, servicesQuery } from '../../api/queries.ts'
import { policies } from '../../api/resources.ts'
import { useList } from '../../api/useList.ts'
import { isProxied } from '../../services/modes.ts'
import { Empty } from '../../ui/Empty.tsx'
import { created, type Field, type Values, valuesOf } from '../../ui/form/fields.ts'
import { ResourceForm } from '../../ui/form/ResourceForm.tsx'
import { Glyph } from '../../ui/Status.tsx'
import { asked } from './asked.ts'

type Explanation = Schemas['ExplanationView']
type HeaderField = Schemas['HeaderField']

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']

function useFields(): readonly Field[] {
  const { data: services = [] } = useQuery(servicesQuery)
  const speaksTls = ({ virtual_service_id }: Values) =>
    services.find(({ id }) => id === virtual_service_id)?.protocol === 'https'
  return [
    {
      path: 'virtual_service_id',
      kind: 'choice',
      label: 'detail.service',
      required: true,
      optional: true,
      choices: services.filter(isProxied).map(({ id, name }) => ({ value: id, label: name })),
    },
    {
      path: 'method',
      kind: 'choice',
      label: 'field.method',
      usual: 'GET',
      choices: METHODS.map((value) => ({ value, label: value })),
    },
    { path: 'host', kind: 'mono', label: 'subject.host', placeholder: 'shop.example', beside: true },
    { path: 'path', kind: 'mono', label: 'field.path', help: 'tester.pathHelp', usual: '/', required: true },
    {
      path: 'headers',
      kind: 'rows',
      label: 'field.headers',
      columns: [
        { key: 'name', label: 'field.name', kind: 'text', first: '' },
        { key: 'value', label: 'field.value', kind: 'text', first: '' },
      ],
    },
    { path: 'source', kind: 'mono', label: 'subject.source', usual: '192.0.2.1', required: true },
    { path: 'sni', kind: 'mono', label: 'subject.sni', beside: true, when: speaksTls },
  ]
}

export function RequestTester() {
  const { t } = useTranslation()
  const navigate = useNavigate()
  const { data: services } = useQuery(servicesQuery)
  const fields = useFields()
  const first = services?.find(isProxied)
  const asking = useMutation({
    mutationFn: (body: Schemas['RequestSettings']) => answer(api.POST('/api/v1/explain', { body })),
  })
  const close = () => void navigate({ to: '/policies' })
  const body = (values: Values) => created(fields, values) as unknown as Schemas['RequestSettings']
  return (
    <Drawer
      opened
      onClose={close}
      position="right"
      size={860}
      title={t('tester.title')}
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <div className="detail">
        <p className="dim">{t('tester.lead')}</p>
        {services !== undefined && first === undefined && (
          <Empty title={t('tester.noService')} help={t('tester.noServiceHelp')} />
        )}
        {first !== undefined && (
          <ResourceForm
            fields={fields}
            initial={{ ...valuesOf(fields, {}), virtual_service_id: first.id }}
            submit={(values) => asking.mutateAsync(body(values))}
            label={t('tester.ask')}
            cancel={close}
            ready
            calls={(values) => [{ method: 'POST', url: '/api/v1/explain', body: body(values) }]}
          />
        )}
        {asking.data !== undefined && asking.error === null && <Result of={asking.data} />}
      </div>
    </Drawer>
  )
}

function Result({ of }: { of: Explanation }) {
  const { t } = useTranslation()
  return (
    <>
      <section aria-label={t('tester.rules')}>
        <h3>{t('tester.rules')}</h3>
        <Asked of={of} />
      </section>
      <section aria-label={t('tester.outcome')} role="status">
        <h3>{t('tester.outcome')}</h3>
        <Outcome of={of} />
      </section>
    </>
  )
}

/** The rules in the order in which they were asked, and why those did not fit that did not. */
function Asked({ of: { policies: found } }: { of: Explanation }) {
  const { t } = useTranslation()
  const { rows } = useList(policies, {})
  if (found.length === 0) return <p className="dim">{t('tester.noRules')}</p>
  return (
    <ol className="rows card flush">
      {found.map(({ policy_id, fits, misfit }) => {
        const policy = rows?.find(({ id }) => id === policy_id)
        const rule = misfit === null ? undefined : policy?.rules[misfit]
        return (
          <li key={policy_id} className="wrap-row">
            <span className={`status ${fits ? 'tone-up' : 'tone-disabled'}`}>
              <Glyph tone={fits ? 'up' : 'disabled'} /> {t(fits ? 'tester.fits' : 'tester.fitsNot')}
            </span>
            <b className="cut">
              <bdi>{policy?.name ?? policy_id}</bdi>
            </b>
            {rule !== undefined && <bdi className="mono dim cut">{asked(rule)}</bdi>}
          </li>
        )
      })}
    </ol>
  )
}

function Outcome({ of: { answer: own, pool_id, member_id, path, headers } }: { of: Explanation }) {
  const { t } = useTranslation()
  const { data: pools } = useQuery(poolsQuery)
  const { data: members } = useQuery({ ...membersQuery(pool_id ?? ''), enabled: pool_id !== null })
  if (own !== null) {
    return (
      <>
        <p className="note">
          <span className="tag">{own.status}</span> {t('tester.ownAnswer')}
        </p>
        <Headers headers={own.headers} />
      </>
    )
  }
  const pool = pools?.find(({ id }) => id === pool_id)
  const member = members?.find(({ id }) => id === member_id)
  return (
    <>
      <p className="note">
        {pool_id !== null && (
          <Link to="/pools/$poolId" params={{ poolId: pool_id }}>
            <bdi>{pool?.name ?? pool_id}</bdi>
          </Link>
        )}
        <span aria-hidden="true">→</span>
        <span className="mono">{member === undefined ? member_id : `${member.address}:${member.port}`}</span>
        {member !== undefined && member.name !== `${member.address}:${member.port}` && (
          <bdi className="dim cut">{member.name}</bdi>
        )}
      </p>
      <p className="mono wrap-any">
        {t('tester.sees')} <b>{path}</b>
      </p>
      <Headers headers={headers} />
    </>
  )
}

function Headers({ headers }: { headers: readonly HeaderField[] }) {
  const { t } = useTranslation()
  return (
    <table className="table" aria-label={t('field.headers')}>
      <tbody>
        {headers.map(({ name, value }, index) => (
          // A header field may come twice.
          <tr key={index}>
            <th scope="row" className="mono">
              {name}
            </th>
            <td className="mono wrap-any">
              <bdi>{value}</bdi>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
