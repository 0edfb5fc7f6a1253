/** The data plane: its ports, where every frame went, and the processes that work by the configuration. */
import { useQuery } from '@tanstack/react-query'
import { useTranslation } from 'react-i18next'
import type { Schemas, Stats } from '../../api/client.ts'
import { statsQuery, statusQuery } from '../../api/queries.ts'
import { said } from '../../i18n/index.ts'
import { useRecent } from '../../live/traffic.ts'
import { Card } from '../../ui/Card.tsx'
import { Empty } from '../../ui/Empty.tsx'
import { count, percent, perSecond } from '../../ui/format.ts'
import { ProblemNote } from '../../ui/ProblemNote.tsx'
import { Glyph, SyncStatus } from '../../ui/Status.tsx'

const RECENT_S = 60

export function Network() {
  const { t } = useTranslation()
  const { data: stats, error, refetch } = useQuery(statsQuery)
  const { data: status } = useQuery(statusQuery)
  return (
    <>
      <div className="page-head">
        <h1>{t('nav.network')}</h1>
      </div>
      <div className="stack">
        {error !== null && <ProblemNote error={error} retry={() => void refetch()} />}
        {status !== undefined && status.off_link.length > 0 && (
          <p className="note degraded">
            <Glyph tone="degraded" size={16} />
            <span>
              {status.off_link.map((address) => t('attention.offLink', { address })).join(' ')}{' '}
              {t('attention.offLinkHelp')}
            </span>
          </p>
        )}
        {stats !== undefined && <Ports ports={stats.ports} />}
        {stats !== undefined && <Frames stats={stats} />}
        {stats !== undefined && <Workers workers={stats.workers} />}
        {status !== undefined && <Processes status={status} />}
      </div>
    </>
  )
}

function Ports({ ports }: { ports: Stats['ports'] }) {
  const { t } = useTranslation()
  return (
    <Card title={t('network.ports')}>
      {ports.length === 0 && <Empty title={t('network.noPorts')} />}
      <ul className="rows">
        {ports.map(({ name, driver, up, driver_counters }) => (
          <li key={name} className="wrap-row">
            <span className={up ? 'status' : 'status tone-down'}>
              <Glyph tone={up ? 'up' : 'down'} /> {t(up ? 'dashboard.linkUp' : 'dashboard.linkDown')}
            </span>
            <b className="mono">{name}</b>
            <span className="dim grow">{said(driver)}</span>
            <Counters counters={driver_counters as Record<string, number>} />
          </li>
        ))}
      </ul>
    </Card>
  )
}

/** What the driver counts, by its own names; those that counted something. */
function Counters({ counters }: { counters: Record<string, number> }) {
  const { t } = useTranslation()
  const found = Object.entries(counters).filter(([, value]) => value > 0)
  if (found.length === 0) return null
  return (
    <details className="fold full">
      <summary>{t('network.counters', { count: found.length })}</summary>
      <table className="table">
        <tbody>
          {found.map(([name, value]) => (
            <tr key={name}>
              <th scope="row" className="mono">
                {name}
              </th>
              <td className="number">{value.toLocaleString('en')}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  )
}

const CAME = ['received', 'from_twin', 'originated'] as const
const WENT = ['sent', 'punted', 'consumed', 'held'] as const

/** Each frame is counted once on each side; what is not equal is a fault of ours. */
function Frames({ stats }: { stats: Stats }) {
  const { t } = useTranslation()
  const { accounting } = stats
  const dropped = useRecent(RECENT_S)
  const drops = Object.entries(accounting.drops as Record<string, number>).sort(([, a], [, b]) => b - a)
  const lost = drops.reduce((sum, [, n]) => sum + n, 0)
  const came = CAME.reduce((sum, key) => sum + accounting[key], 0)
  const last = dropped.at(-1)
  const row = (name: string, value: number) => (
    <tr key={name}>
      <th scope="row">{name}</th>
      <td className="number">{value.toLocaleString('en')}</td>
      <td className="number dim">{came === 0 ? t('common.none') : percent(value / came)}</td>
    </tr>
  )
  return (
    <div className="pair">
      <Card
        title={t('network.frames')}
        aside={last !== undefined && <span className="dim">{perSecond(last.receivedFrames)}</span>}
      >
        <table className="table" aria-label={t('network.frames')}>
          <tbody>
            {CAME.map((key) => row(t(`network.${key}`), accounting[key]))}
            {WENT.map((key) => row(t(`network.${key}`), accounting[key]))}
            {row(t('network.dropped'), lost)}
          </tbody>
        </table>
        <p className="small dim">{t('network.equal')}</p>
      </Card>
      <Card
        title={t('dashboard.drops')}
        aside={last !== undefined && <span className="dim">{perSecond(last.droppedFrames)}</span>}
      >
        {drops.length === 0 ? (
          <p className="dim">{t('dashboard.noDrops')}</p>
        ) : (
          <ul className="bars">
            {drops.map(([reason, value]) => (
              <li key={reason}>
                <span className="mono cut" title={reason}>
                  {reason.replaceAll('_', ' ')}
                </span>
                <span className="meter" aria-hidden="true">
                  <span style={{ width: percent(value / Math.max(1, drops[0]?.[1] ?? 1)) }} />
                </span>
                <span className="number">{count(value)}</span>
              </li>
            ))}
          </ul>
        )}
      </Card>
    </div>
  )
}

/** Each has its own share of the connections; one that has much more than the others is worth a look. */
function Workers({ workers }: { workers: Stats['workers'] }) {
  const { t } = useTranslation()
  const most = Math.max(1, ...workers.map(({ received }) => received))
  return (
    <Card title={t('network.workers')}>
      <div className="scroll-x" role="region" aria-label={t('network.eachWorker')} tabIndex={0}>
        <table className="table">
          <thead>
            <tr>
              <th>{t('network.worker')}</th>
              <th className="number">{t('network.received')}</th>
              <td className="only-wide" />
              <th className="number">{t('network.sent')}</th>
              <th className="number">{t('network.dropped')}</th>
              <th className="number">{t('dashboard.concurrent')}</th>
            </tr>
          </thead>
          <tbody>
            {workers.map(({ received, sent, dropped, flows }, index) => (
              // A worker is its number.
              <tr key={index}>
                <td className="mono">{index}</td>
                <td className="number">{count(received)}</td>
                <td className="only-wide">
                  <span className="meter" aria-hidden="true">
                    <span style={{ width: percent(received / most) }} />
                  </span>
                </td>
                <td className="number">{count(sent)}</td>
                <td className="number">{count(dropped)}</td>
                <td className="number">{count(flows)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Card>
  )
}

function Processes({ status }: { status: Schemas['Status'] }) {
  const { t } = useTranslation()
  const { processes, generation } = status
  return (
    <Card title={t('network.processes')}>
      <ul className="rows">
        {Object.entries(processes).map(([role, { connected, version, generation: at, error }]) => (
          <li key={role} className="wrap-row">
            <b className="mono">penstock-{role}</b>
            {connected ? (
              <SyncStatus sync={at >= generation ? 'applied' : 'pending'} loud />
            ) : (
              <span className="status tone-down">
                <Glyph tone="down" /> {t('dashboard.away')}
              </span>
            )}
            <span className="dim grow">{error}</span>
            <span className="mono dim">{version}</span>
            <span className="mono">{t('sync.generation', { n: at })}</span>
          </li>
        ))}
      </ul>
    </Card>
  )
}
