/** What an operator does with services at once, and can undo. */
import { useTranslation } from 'react-i18next'
import { changeSeen } from '../../api/change.ts'
import type { VirtualService } from '../../api/client.ts'
import { services } from '../../api/resources.ts'
import { useAction } from '../../ui/useAction.ts'

export function useServiceActions() {
  const { t } = useTranslation()
  const act = useAction()
  const set = (some: readonly VirtualService[], enabled: (index: number) => boolean | undefined) =>
    Promise.all(some.map((service, index) => changeSeen(services, service, { enabled: enabled(index) })))
  return {
    switchTo(some: readonly VirtualService[], enabled: boolean) {
      const name = some.length === 1 ? (some[0]?.name ?? '') : t('services.count', { count: some.length })
      return act(
        () => set(some, () => enabled),
        t(enabled ? 'toast.enabled' : 'toast.disabled', { name }),
        (changed) => set(changed, (index) => some[index]?.enabled),
      )
    },
  }
}
