/** Lets in who is signed in; whoever is not claims the appliance or signs in first, at whatever address. */
import { Modal } from '@mantine/core'
import { type ReactNode, useState } from 'react'
import { useTranslation } from 'react-i18next'
import { ClaimPage } from '../pages/claim/ClaimPage.tsx'
import { SignInForm, SignInPage } from '../pages/sign-in/SignInPage.tsx'
import { ProblemNote } from '../ui/ProblemNote.tsx'
import { useRenewal, useSession } from './useSession.ts'

export function Gate({ children }: { children: (username: string) => ReactNode }) {
  const { t } = useTranslation()
  const session = useSession()
  const [username, setUsername] = useState<string | null>(null)
  if (session.state === 'signed-in' && session.username !== username) setUsername(session.username)
  useRenewal(session.state === 'signed-in')

  if (session.state === 'unclaimed') return <ClaimPage />
  if (session.state === 'unreachable') {
    return (
      <main className="front">
        <ProblemNote error={session.error} retry={session.retry} />
      </main>
    )
  }
  // Whoever was in keeps the screen behind the question, with all that was typed.
  if (session.state === 'signed-out' && username === null) return <SignInPage />
  if (username === null) return null
  return (
    <>
      {children(username)}
      <Modal
        opened={session.state === 'signed-out'}
        onClose={() => {}}
        withCloseButton={false}
        closeOnEscape={false}
        closeOnClickOutside={false}
        title={t('signIn.title')}
      >
        <SignInForm lead={t('signIn.expired')} username={username} />
      </Modal>
    </>
  )
}
