import type { ReactNode } from 'react'

interface Props {
  title: string
  /** Beside the title: a legend, a count, a link. */
  aside?: ReactNode
  className?: string
  children: ReactNode
}

export function Card({ title, aside, className = '', children }: Props) {
  return (
    <section className={`card ${className}`} aria-label={title}>
      <header className="card-head">
        <h2>
          <bdi>{title}</bdi>
        </h2>
        {aside}
      </header>
      {children}
    </section>
  )
}
