/** Messages that pass, some with a way back. */
import { useSyncExternalStore } from 'react'

export interface Toast {
  id: number
  text: string
  tone: 'up' | 'degraded' | 'down'
  undo?: () => Promise<void> | void
}

/** As long as an action can be undone; what can only be read goes sooner. */
const UNDO_MS = 10_000
const READ_MS = 5_000
const SHOWN = 4

let next = 1
let toasts: readonly Toast[] = []
const listeners = new Set<() => void>()

function set(changed: readonly Toast[]) {
  toasts = changed
  listeners.forEach((listener) => listener())
}

/** What is only to be read makes room for others; a way back stays as long as it may. */
function room(): readonly Toast[] {
  if (toasts.length < SHOWN) return toasts
  const first = Math.max(
    0,
    toasts.findIndex(({ undo }) => undo === undefined),
  )
  return toasts.filter((_, index) => index !== first)
}

export function showToast(toast: Omit<Toast, 'id'>) {
  const id = next++
  set([...room(), { ...toast, id }])
  setTimeout(() => closeToast(id), toast.undo === undefined ? READ_MS : UNDO_MS)
}

export const closeToast = (id: number) => set(toasts.filter((toast) => toast.id !== id))

export function undo(toast: Toast) {
  closeToast(toast.id)
  void toast.undo?.()
}

/** Goes back on the last that can be undone; false if there is none. */
export function undoLast(): false | void {
  const last = toasts.findLast((toast) => toast.undo !== undefined)
  if (last === undefined) return false
  undo(last)
}

export const useToasts = () =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    () => toasts,
  )
