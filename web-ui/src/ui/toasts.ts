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

let next = 1
let toasts: readonly Toast[] = []
const listeners = new Set<() => void>()

function set(changed: readonly Toast[]) {
  toasts = changed
  listeners.forEach((listener) => listener())
}

export function showToast(toast: Omit<Toast, 'id'>) {
  const id = next++
  set([...toasts.slice(-3), { ...toast, id }])
  setTimeout(() => closeToast(id), toast.undo === undefined ? READ_MS : UNDO_MS)
}

export const closeToast = (id: number) => set(toasts.filter((toast) => toast.id !== id))

export const useToasts = () =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    () => toasts,
  )
