/** What is wrong with a field, in the reader's language: found here, or by the server, which decides. */
import i18next from 'i18next'
import { useTranslation } from 'react-i18next'
import type { en } from '../i18n/en.ts'
import { said } from '../i18n/index.ts'

export type FaultCode = keyof typeof en.fault

const isCode = (code: string): code is FaultCode => i18next.exists(`fault.${code}`)

/** What these mean, the sentence says. */
const VAGUE = new Set(['invalid', 'unsupported', 'out_of_range'])

/** A fault in a line of a text is written `line:3`; one of the server `code|sentence`, whose sentence is for codes without words. */
export function useFaultText() {
  const { t } = useTranslation()
  return (fault: string | undefined): string | undefined => {
    if (fault === undefined) return undefined
    const [coded = '', ...rest] = fault.split('|')
    const sentence = rest.join('|')
    const [code = '', line] = coded.split(':')
    if (!isCode(code)) return sentence === '' ? fault : said(sentence)
    const text = t(`fault.${code}`, { line: line ?? '' })
    return sentence === '' || !VAGUE.has(code) ? text : `${text}: ${said(sentence)}`
  }
}
