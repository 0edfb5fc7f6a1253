/** One accepted change beside the list: who, when, and each field. */
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { useTranslation } from 'react-i18next'
import { answer, api } from '../../api/client.ts'
import { isProblem } from '../../api/problem.ts'
import { Changes } from '../../ui/Changes.tsx'
import { DetailDrawer, Pairs } from '../../ui/DetailDrawer.tsx'
import { dateTimeExact } from '../../ui/format.ts'

const route = getRouteApi('/revisions/$generation')

export function Revision() {
  const { t, i18n } = useTranslation()
  const { generation } = route.useParams()
  const navigate = useNavigate()
  const { data, error } = useQuery({
    queryKey: ['revisions', 'one', generation],
    queryFn: ({ signal }) =>
      answer(
        api.GET('/api/v1/revisions/{generation}', { params: { path: { generation: Number(generation) } }, signal }),
      ),
    staleTime: Infinity,
  })
  return (
    <DetailDrawer
      name={data && t('history.versionOf', { n: data.generation })}
      close={() => void navigate({ to: '/revisions', search: (now) => now })}
      gone={isProblem(error, 'not_found')}
    >
      {data !== undefined && (
        <>
          <Pairs
            pairs={[
              [t('history.author'), <bdi key="author">{data.author}</bdi>],
              [t('history.at'), dateTimeExact(data.at, i18n.language)],
              ...(data.comment === ''
                ? []
                : ([[t('history.comment'), <bdi key="comment">{data.comment}</bdi>]] as const)),
            ]}
          />
          <Changes changes={data.changes} />
        </>
      )}
    </DetailDrawer>
  )
}
