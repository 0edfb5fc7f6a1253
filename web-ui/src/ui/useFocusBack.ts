import { useEffect, useState } from 'react'

/** What had the focus before this was shown has it again afterwards: a row of a list, say, that was opened by a key. */
export function useFocusBack() {
  // While rendering: whatever is shown takes the focus before any effect runs.
  const [before] = useState(() => document.activeElement)
  useEffect(
    () => () => {
      // Unless something else has taken it since.
      if (document.activeElement !== document.body) return
      if (before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true })
    },
    [before],
  )
}
