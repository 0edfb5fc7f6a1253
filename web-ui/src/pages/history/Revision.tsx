/** One accepted change beside the list: who, when, and each field. */
import { Button, Modal } from '@mantine/core'
import { useQuery } from '@tanstack/react-query'
import { getRouteApi, useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { useTranslation } from 'react-i18next'
import { answer, api } from '../../api/client.ts'
import { isProblem } from '../../api/problem.ts'
import { statusQuery } from '../../api/queries.ts'
import { useReadOnly } from '../../app/usePermission.ts'
import { ApplyPanel, type Manner } from '../../pending/ApplyPanel.tsx'
import { useNames } from '../../pending/useNames.ts'
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
  const names = useNames(data?.changes)
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
          {data.confirm_by === null && <Going generation={data.generation} />}
          <Changes changes={data.changes} names={names} />
        </>
      )}
    </DetailDrawer>
  )
}

type Way = 'rollback' | 'revert'

/** Back to how it was with this version, or without what this one changed: first what that means, then doing it. */
function Going({ generation }: { generation: number }) {
  const { t } = useTranslation()
  const readOnly = useReadOnly()
  const { data: status } = useQuery(statusQuery)
  const [way, setWay] = useState<Way | null>(null)
  // Everything is as it was with the last one.
  const ways = status?.generation === generation ? (['revert'] as const) : (['revert', 'rollback'] as const)
  return (
    <>
      <div className="tools">
        {ways.map((one) => (
          <Button
            key={one}
            variant="default"
            size="compact-md"
            disabled={readOnly !== undefined}
            title={readOnly}
            onClick={() => setWay(one)}
          >
            {t(`history.${one}`)}
          </Button>
        ))}
      </div>
      {way !== null && <Back generation={generation} way={way} close={() => setWay(null)} />}
    </>
  )
}

function Back({ generation, way, close }: { generation: number; way: Way; close: () => void }) {
  const { t } = useTranslation()
  const go = (query: Manner & { dry_run?: boolean }) => {
    const params = { path: { generation }, query }
    return answer(
      way === 'revert'
        ? api.POST('/api/v1/revisions/{generation}/revert', { params })
        : api.POST('/api/v1/revisions/{generation}/rollback', { params }),
    )
  }
  const preview = useQuery({
    queryKey: ['revisions', way, generation],
    queryFn: () => go({ dry_run: true }),
    gcTime: 0,
    retry: false,
  })
  return (
    <Modal
      opened
      onClose={close}
      size={720}
      title={t(`history.${way}Of`, { n: generation })}
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      <ApplyPanel
        preview={preview.data}
        error={preview.error}
        retry={() => void preview.refetch()}
        apply={go}
        done={close}
        readOnly={undefined}
      >
        <Button variant="default" onClick={close}>
          {t('common.cancel')}
        </Button>
      </ApplyPanel>
    </Modal>
  )
}
