/** What can be written of the rules of layer 7. */
import { useQuery } from '@tanstack/react-query'
import { useMemo } from 'react'
import { useTranslation } from 'react-i18next'
import { poolsQuery, servicesQuery } from '../api/queries.ts'
import type { TextKey } from '../i18n/index.ts'
import type { Field, Values } from '../ui/form/fields.ts'
import { ABOUT, ENABLED, NAME, named } from './base.ts'

const SUBJECTS = ['host', 'path', 'header', 'cookie', 'query', 'method', 'source', 'sni', 'client_subject'] as const
const COMPARES = ['exact', 'prefix', 'suffix', 'contains', 'regex', 'present', 'network'] as const
const hasKey = ({ kind }: Record<string, unknown>) => kind === 'header' || kind === 'cookie' || kind === 'query'
const decides =
  (word: string) =>
  ({ decision }: Values) =>
    decision === word

const isLimited = (values: Values) => typeof values['rate_limit.requests'] === 'number'
const wantsToken = ({ jwt }: Values) => jwt === true
const wantsPassword = ({ basic_auth }: Values) => basic_auth === true
const isMirrored = (values: Values) => (values['mirror.pool_id'] ?? null) !== null
const sharesWith = ({ cors }: Values) => cors === true
/** Whether there is an object, and what of it is folded away with the rest. */
const inside = (of: (values: Values) => boolean, fields: readonly Field[]): Field[] =>
  fields.map((field) => ({ ...field, advanced: true, when: of }))
const JWT: readonly Field[] = [
  { path: 'jwt', kind: 'part', label: 'field.jwt', help: 'help.jwt', advanced: true },
  ...inside(wantsToken, [
    { path: 'jwt.jwks', kind: 'long', label: 'field.jwks', help: 'help.jwks', required: true },
    { path: 'jwt.issuer', kind: 'mono', label: 'field.issuer', help: 'help.issuer' },
    { path: 'jwt.audiences', kind: 'tags', label: 'field.audiences', help: 'help.audiences' },
    { path: 'jwt.subject_header', kind: 'mono', label: 'field.subjectHeader', help: 'help.subjectHeader' },
    { path: 'jwt.leeway_s', kind: 'number', label: 'field.leeway', min: 0, max: 600, unit: 's', usual: 30 },
  ]),
]
const BASIC: readonly Field[] = [
  { path: 'basic_auth', kind: 'part', label: 'field.basicAuth', help: 'help.jwt', advanced: true },
  ...inside(wantsPassword, [
    { path: 'basic_auth.users', kind: 'tags', label: 'field.basicUsers', required: true },
    { path: 'basic_auth.realm', kind: 'text', label: 'field.realm', help: 'help.realm', usual: 'restricted' },
    { path: 'basic_auth.user_header', kind: 'mono', label: 'field.subjectHeader', help: 'help.subjectHeader' },
    {
      path: 'passwords',
      kind: 'file',
      accept: '.htpasswd,text/plain',
      secret: true,
      label: 'field.passwords',
      help: 'help.passwords',
    },
  ]),
]
const CORS: readonly Field[] = [
  { path: 'cors', kind: 'part', label: 'field.cors', help: 'help.cors', advanced: true },
  ...inside(sharesWith, [
    {
      path: 'cors.origins',
      kind: 'tags',
      label: 'field.origins',
      help: 'help.origins',
      placeholder: 'https://www.example',
      required: true,
    },
    { path: 'cors.methods', kind: 'tags', label: 'field.methods', usual: ['GET', 'HEAD', 'POST'] },
    { path: 'cors.headers', kind: 'tags', label: 'field.corsHeaders', help: 'help.corsHeaders' },
    { path: 'cors.exposed_headers', kind: 'tags', label: 'field.exposedHeaders', help: 'help.exposedHeaders' },
    { path: 'cors.credentials', kind: 'switch', label: 'field.corsCredentials', help: 'help.corsCredentials' },
    { path: 'cors.max_age_s', kind: 'number', label: 'field.corsAge', min: 0, max: 86_400, unit: 's', usual: 600 },
  ]),
]
const rewritesPath = (values: Values) => String(values['rewrite.path.from'] ?? '').trim() !== ''

/** How requests are told apart, and what becomes of them. */
export function usePolicyFields(): readonly Field[] {
  const { t } = useTranslation()
  const { data: services = [] } = useQuery(servicesQuery)
  const { data: pools = [] } = useQuery(poolsQuery)
  return useMemo(() => {
    const words = <Word extends string>(
      key: 'subject' | 'compare' | 'decision' | 'headerVerb' | 'limitKey' | 'pathCompare',
      all: readonly Word[],
    ) => all.map((word) => ({ value: word, label: t(`${key}.${word}` as TextKey) }))
    const changes = (path: string, label: TextKey): Field => ({
      path,
      kind: 'rows',
      label,
      advanced: true,
      columns: [
        {
          key: 'change',
          label: 'field.change',
          kind: 'choice',
          first: 'set',
          choices: words('headerVerb', ['set', 'add', 'remove']),
        },
        { key: 'name', label: 'field.name', kind: 'text' },
        { key: 'value', label: 'field.value', kind: 'text', when: ({ change }) => change !== 'remove' },
      ],
    })
    return [
      NAME,
      {
        path: 'virtual_service_id',
        kind: 'choice',
        label: 'detail.service',
        required: true,
        optional: true,
        choices: services
          .filter(({ forwarding }) => forwarding === 'proxy')
          .map(({ id, name }) => ({ value: id, label: name })),
      },
      {
        path: 'position',
        kind: 'number',
        label: 'field.position',
        help: 'help.position',
        min: 0,
        max: 1_000_000,
        optional: true,
      },
      {
        path: 'rules',
        kind: 'rows',
        label: 'field.rules',
        help: 'help.rules',
        columns: [
          { key: 'kind', label: 'field.subject', kind: 'choice', first: 'path', choices: words('subject', SUBJECTS) },
          { key: 'key', label: 'field.key', kind: 'text', when: hasKey },
          {
            key: 'compare',
            label: 'field.compare',
            kind: 'choice',
            first: 'prefix',
            choices: words('compare', COMPARES),
          },
          {
            key: 'values',
            label: 'field.values',
            kind: 'tags',
            first: [],
            when: ({ compare }) => compare !== 'present',
          },
          { key: 'invert', label: 'field.invert', kind: 'switch', first: false },
        ],
      },
      {
        path: 'decision',
        kind: 'choice',
        label: 'field.decision',
        help: 'help.decision',
        choices: words('decision', ['pools', 'redirect', 'respond', 'reject', 'none']),
      },
      {
        path: 'pools',
        kind: 'rows',
        label: 'pools.title',
        columns: [
          {
            key: 'pool_id',
            label: 'field.pool',
            kind: 'choice',
            first: pools[0]?.id ?? null,
            choices: named(pools),
          },
          { key: 'weight', label: 'field.weight', kind: 'number', first: 1 },
        ],
        when: decides('pools'),
      },
      {
        path: 'redirect.scheme',
        kind: 'choice',
        label: 'field.scheme',
        optional: true,
        choices: ['https', 'http'].map((value) => ({ value, label: value })),
        when: decides('redirect'),
      },
      { path: 'redirect.host', kind: 'mono', label: 'field.host', beside: true, when: decides('redirect') },
      {
        path: 'redirect.port',
        kind: 'number',
        label: 'field.port',
        min: 1,
        max: 65535,
        optional: true,
        beside: true,
        when: decides('redirect'),
      },
      { path: 'redirect.path', kind: 'mono', label: 'field.path', when: decides('redirect') },
      {
        path: 'redirect.code',
        kind: 'number',
        label: 'field.code',
        min: 301,
        max: 308,
        optional: true,
        beside: true,
        when: decides('redirect'),
      },
      {
        path: 'redirect.keep_query',
        kind: 'switch',
        label: 'field.keepQuery',
        usual: true,
        when: decides('redirect'),
      },
      {
        path: 'respond.code',
        kind: 'number',
        label: 'field.code',
        min: 200,
        max: 599,
        optional: true,
        when: decides('respond'),
      },
      {
        path: 'respond.content_type',
        kind: 'mono',
        label: 'field.contentType',
        placeholder: 'text/html; charset=utf-8',
        when: decides('respond'),
      },
      { path: 'respond.body', kind: 'long', label: 'field.body', when: decides('respond') },
      {
        path: 'reject.code',
        kind: 'number',
        label: 'field.code',
        min: 400,
        max: 599,
        optional: true,
        when: decides('reject'),
      },
      {
        path: 'rate_limit.requests',
        kind: 'number',
        label: 'field.rateLimit',
        help: 'help.rateLimit',
        min: 1,
        max: 1_000_000,
        optional: true,
        whole: true,
        advanced: true,
      },
      {
        path: 'rate_limit.per_s',
        kind: 'number',
        label: 'field.ratePer',
        min: 1,
        max: 86_400,
        unit: 's',
        usual: 1,
        beside: true,
        advanced: true,
        when: isLimited,
      },
      {
        path: 'rate_limit.burst',
        kind: 'number',
        label: 'field.rateBurst',
        min: 1,
        max: 1_000_000,
        optional: true,
        beside: true,
        advanced: true,
        when: isLimited,
      },
      {
        path: 'rate_limit.key',
        kind: 'choice',
        label: 'field.rateKey',
        help: 'help.rateKey',
        usual: 'service',
        choices: words('limitKey', ['service', 'source', 'header']),
        advanced: true,
        when: isLimited,
      },
      {
        path: 'rate_limit.header',
        kind: 'mono',
        label: 'subject.header',
        required: true,
        advanced: true,
        when: (values) => isLimited(values) && values['rate_limit.key'] === 'header',
      },
      {
        path: 'rewrite.path.from',
        kind: 'mono',
        label: 'field.rewritePathFrom',
        help: 'help.rewritePath',
        placeholder: '/api',
        whole: true,
        advanced: true,
      },
      {
        path: 'rewrite.path.to',
        kind: 'mono',
        label: 'field.rewritePathTo',
        placeholder: '/v2',
        required: true,
        beside: true,
        advanced: true,
        when: rewritesPath,
      },
      {
        path: 'rewrite.path.compare',
        kind: 'choice',
        label: 'field.compare',
        usual: 'prefix',
        choices: words('pathCompare', ['prefix', 'regex']),
        advanced: true,
        when: rewritesPath,
      },
      ...JWT,
      ...BASIC,
      ...CORS,
      {
        path: 'mirror.pool_id',
        kind: 'choice',
        label: 'field.mirror',
        help: 'help.mirror',
        optional: true,
        whole: true,
        advanced: true,
        choices: named(pools),
      },
      {
        path: 'mirror.percent',
        kind: 'number',
        label: 'field.mirrorPercent',
        min: 1,
        max: 100,
        unit: '%',
        usual: 100,
        beside: true,
        advanced: true,
        when: isMirrored,
      },
      { path: 'rewrite.host', kind: 'mono', label: 'field.rewriteHost', advanced: true },
      changes('rewrite.request_headers', 'field.requestHeaders'),
      changes('rewrite.response_headers', 'field.responseHeaders'),
      ENABLED,
      ...ABOUT,
    ]
  }, [t, services, pools])
}
