/** Keys for who would rather not use a mouse. They can be turned off, and never take what somebody types. */
import { useEffect, useLayoutEffect, useRef, useSyncExternalStore } from 'react'

/** Says whether it used the key; nothing said is yes. */
type Handler = () => boolean | void

const STORED = 'penstock.keys'
const listeners = new Set<() => void>()
let on = localStorage.getItem(STORED) !== 'off'

export function setKeysOn(next: boolean) {
  on = next
  localStorage.setItem(STORED, next ? 'on' : 'off')
  listeners.forEach((listener) => listener())
}

export const useKeysOn = () =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    () => on,
  )

const TYPING = 'input:not([type=checkbox]), textarea, select, [contenteditable], [role=menu], [role=listbox]'

/** A key that belongs to what it was pressed in. */
function taken(event: KeyboardEvent): boolean {
  const target = event.target instanceof HTMLElement ? event.target : null
  if (target?.closest(TYPING)) return true
  const own = event.key === ' ' || event.key === 'Enter'
  return own && target?.closest('button, a, input, summary') !== null
}

/** Calls the handler of a key while the component is shown; a dialogue over it keeps its keys for itself. */
export function useKeys(handlers: Record<string, Handler>, { inDialogue = false } = {}) {
  const latest = useRef(handlers)
  // Before the next key can be pressed: it must not meet what was on the screen before.
  useLayoutEffect(() => {
    latest.current = handlers
  })
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (!on || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || taken(event)) return
      if (!inDialogue && document.querySelector('[role=dialog]') !== null) return
      const handler = latest.current[event.key]
      if (handler !== undefined && handler() !== false) event.preventDefault()
    }
    document.addEventListener('keydown', press)
    return () => document.removeEventListener('keydown', press)
  }, [inDialogue])
}
