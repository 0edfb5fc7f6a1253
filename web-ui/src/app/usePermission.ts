/** What who is signed in may do. The server decides; here it is only said beforehand. */
import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import type { Schemas } from '../api/client.ts'
import { sessionQuery } from '../api/queries.ts'

/** What needs no permission everybody may. */
export function useMay(): (permission: Schemas['Permission'] | undefined) => boolean {
  const { data } = useQuery(sessionQuery)
  return (permission) => permission === undefined || (data?.permissions.includes(permission) ?? false)
}

/** Why balancing cannot be changed; undefined if it can. */
export function useReadOnly(): string | undefined {
  const { t } = useTranslation()
  const { data } = useQuery(sessionQuery)
  if (data === undefined || data.permissions.includes('balancing:write')) return undefined
  return t('problem.readOnly', { role: t(`role.${data.role}`) })
}
