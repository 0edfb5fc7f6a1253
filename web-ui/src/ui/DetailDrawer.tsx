/** One resource beside its list. */
import { ActionIcon, Drawer, Skeleton } from '@mantine/core'
import { IconPencil, IconTrash } from '@tabler/icons-react'
import { type ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import type { Facts } from '../status/facts.ts'
import { Empty } from './Empty.tsx'
import { useKeys } from './keys.ts'
import { HealthStatus } from './Status.tsx'
import { useFocusBack } from './useFocusBack.ts'

interface Props {
  name: string | undefined
  facts?: Facts | undefined
  close: () => void
  edit?: (() => void) | undefined
  remove?: (() => void) | undefined
  /** Known not to exist, which is said instead of waiting. */
  gone: boolean
  children: ReactNode
}

export function DetailDrawer({ name, facts, close, edit, remove, gone, children }: Props) {
  const { t } = useTranslation()
  useFocusBack()
  useKeys({ e: () => (edit === undefined ? false : edit()) }, { inDialogue: true })
  return (
    <Drawer
      opened
      onClose={close}
      position="right"
      size={860}
      title={
        <span className="detail-title">
          {facts !== undefined && <HealthStatus facts={facts} />}
          <span className="detail-name">
            <bdi>{name}</bdi>
          </span>
        </span>
      }
      closeButtonProps={{ 'aria-label': t('common.close') }}
    >
      {gone ? (
        <Empty title={t('detail.gone')} />
      ) : name === undefined ? (
        <Skeleton className="late" height={240} />
      ) : (
        <>
          <div className="detail-tools">
            {edit !== undefined && (
              <ActionIcon
                variant="default"
                size={32}
                aria-label={t('detail.edit')}
                title={`${t('detail.edit')} (e)`}
                onClick={edit}
              >
                <IconPencil size={16} />
              </ActionIcon>
            )}
            {remove !== undefined && (
              <ActionIcon
                variant="default"
                size={32}
                className="danger"
                aria-label={t('detail.remove')}
                title={t('detail.remove')}
                onClick={remove}
              >
                <IconTrash size={16} />
              </ActionIcon>
            )}
          </div>
          <div className="detail">{children}</div>
        </>
      )}
    </Drawer>
  )
}

/** Pairs of a word and what it is. */
export function Pairs({ pairs }: { pairs: readonly (readonly [string, ReactNode])[] }) {
  return (
    <dl className="facts">
      {pairs.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  )
}
