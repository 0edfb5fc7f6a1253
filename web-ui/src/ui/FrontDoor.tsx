import type { ReactNode } from 'react'
import { useTranslation } from 'react-i18next'
import { Logo } from './Logo.tsx'
import { Preferences } from './Preferences.tsx'

/** The frame of what is shown to who is not signed in. */
export function FrontDoor({ title, lead, children }: { title: string; lead?: string; children: ReactNode }) {
  const { t } = useTranslation()
  return (
    <main className="front">
      <div className="front-card">
        <div className="front-head">
          <Logo size={28} />
          <span className="front-brand">{t('product')}</span>
          <span className="spring" />
          <Preferences />
        </div>
        <h1>{title}</h1>
        {lead !== undefined && <p className="lead">{lead}</p>}
        {children}
      </div>
    </main>
  )
}
