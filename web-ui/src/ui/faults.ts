/** What is wrong with a field, in the reader's language: found here, or by the server, which decides. */
import type { FieldPath, FieldValues, UseFormSetError } from 'react-hook-form'
import { useTranslation } from 'react-i18next'
import { ApiProblem } from '../api/problem.ts'
import { en } from '../i18n/en.ts'

export type FaultCode = keyof typeof en.fault

const isCode = (code: string): code is FaultCode => code in en.fault

/** A fault in a line of a text is written `line:3` or `duplicate:3`. */
export function useFaultText() {
  const { t } = useTranslation()
  return (message: string | undefined): string | undefined => {
    if (message === undefined) return undefined
    const [code = '', line] = message.split(':')
    return isCode(code) ? t(`fault.${code}`, { line: line ?? '' }) : message
  }
}

/** Gives each of the server's faults to its field; says whether all found one. */
export function placeFaults<T extends FieldValues>(
  error: Error,
  setError: UseFormSetError<T>,
  places: Record<string, FieldPath<T>>,
): boolean {
  if (!(error instanceof ApiProblem) || error.errors.length === 0) return false
  let all = true
  for (const { pointer, code, detail } of error.errors) {
    const field = places[pointer]
    if (field === undefined) all = false
    else setError(field, { message: isCode(code) ? code : detail })
  }
  return all
}
