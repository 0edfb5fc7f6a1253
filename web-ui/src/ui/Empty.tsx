import type { ReactNode } from 'react'

/** Why there is nothing here, and what to do about it. */
export function Empty({ title, help, children }: { title: string; help?: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {help !== undefined && <p>{help}</p>}
      {children}
    </div>
  )
}
