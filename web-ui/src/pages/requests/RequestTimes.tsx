/** Where the time of a request went, as a bar; in words it stands beside its facts. */
import type { Schemas } from '../../api/client.ts'
import { PHASES, phasesOf } from './times.ts'

export function RequestTimes({ of }: { of: Schemas['Request'] }) {
  const phases = phasesOf(of)
  return (
    <span className="bar phases" aria-hidden="true">
      {PHASES.filter((phase) => phases[phase] > 0).map((phase) => (
        <span key={phase} className={`segment phase-${phase}`} style={{ flexGrow: phases[phase] }} />
      ))}
    </span>
  )
}
