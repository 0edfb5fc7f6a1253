/** What can be written of users, and what a token may be for. */
import { useMemo } from 'react'
import type { Field } from '../ui/form/fields.ts'
import { ABOUT, ENABLED, NAME, useWords } from './base.ts'

export const ROLES = ['admin', 'operator', 'viewer', 'auditor'] as const

export function useUserFields(): readonly Field[] {
  const roles = useWords('role', ROLES)
  return useMemo(
    () => [
      NAME,
      { path: 'role', kind: 'choice', label: 'users.role', help: 'users.roleHelp', choices: roles },
      { path: 'password', kind: 'secret', label: 'claim.password', help: 'claim.passwordHelp', required: true },
      ENABLED,
      ...ABOUT,
    ],
    [roles],
  )
}

export const PERMISSIONS = [
  'balancing:read',
  'balancing:write',
  'accounts:read',
  'accounts:write',
  'audit:read',
  'system:read',
  'system:write',
] as const
