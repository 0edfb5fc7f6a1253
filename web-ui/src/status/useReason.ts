/** Why the health is what it is, in the reader's language where it is one of the sentences that the appliance says often. */
import { useTranslation } from 'react-i18next'
import { said } from '../i18n/index.ts'
import { sentence } from '../ui/bidi.ts'
import type { Facts } from './facts.ts'

const SOME_DOWN = /^(\d+) of (\d+) members (?:is|are) down$/
const ALL_DOWN = /^no member is up: (?:all (\d+) are|the only one is) down$/

/** As a sentence stands alone. */
const alone = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

export function useReason(): (facts: Facts) => string {
  const { t } = useTranslation()
  return ({ reason, words, health }) => {
    const some = words?.match(SOME_DOWN)
    if (some) return t('status.someDown', { count: Number(some[1]), all: some[2] })
    const all = words?.match(ALL_DOWN)
    if (all) return t('status.allDown', { count: Number(all[1] ?? 1) })
    if (words?.startsWith('no member takes new connections')) return t('status.reason.noMember')
    if (words === 'no member has been checked yet') return t('status.unchecked')
    if (reason === 'observed') return words === null ? t(`health.${health}`) : alone(sentence(said(words)))
    return t(`status.reason.${reason}`)
  }
}
