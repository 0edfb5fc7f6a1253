import { type ComponentType, lazy, Suspense } from 'react'

const AGAIN_MS = 700

/** A component that is loaded when it is first shown; nothing stands in its place meanwhile. */
export function later<Props extends object>(load: () => Promise<ComponentType<Props>>): ComponentType<Props> {
  // A connection that breaks in this moment is no reason to show nothing for good.
  const patient = () => load().catch(() => new Promise((again) => setTimeout(again, AGAIN_MS)).then(load))
  const Loaded = lazy(async () => ({ default: await patient() })) as ComponentType<Props>
  return function Later(props: Props) {
    return (
      <Suspense>
        <Loaded {...props} />
      </Suspense>
    )
  }
}
