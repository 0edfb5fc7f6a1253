/** How a service carries what clients send: what the API says by protocol and forwarding is one choice here. */
import type { VirtualService } from '../api/client.ts'

export type Carried = Pick<VirtualService, 'protocol' | 'forwarding'>

export const isProxied = ({ forwarding }: Carried) => forwarding === 'proxy'

/** Whether what is carried are requests of HTTP, whose answers tell how a member is. */
export const hasRequests = ({ protocol }: Carried) => protocol === 'http' || protocol === 'https'

export const layerOf = (service: Carried) => (isProxied(service) ? 'L7' : 'L4')

export function modeOf(service: Carried): string {
  const protocol = service.protocol.toUpperCase()
  return isProxied(service) ? protocol : `${protocol} · ${service.forwarding.toUpperCase().replace('_', ' ')}`
}

/** Its port, or the first and the last of several. */
export const portsOf = ({ port, port_end }: Pick<VirtualService, 'port' | 'port_end'>) =>
  port_end === null || port_end === undefined ? `${port}` : `${port}–${port_end}`

/** Who gives its members their work: see `Sample.members`. */
export const giverOf = (service: VirtualService) =>
  isProxied(service) ? (service.default_pool_id ?? service.id) : service.id

/** What can be created, the most wanted first. */
export const MODES = {
  'tcp nat': { protocol: 'tcp', forwarding: 'nat' },
  'udp nat': { protocol: 'udp', forwarding: 'nat' },
  'http proxy': { protocol: 'http', forwarding: 'proxy' },
  'https proxy': { protocol: 'https', forwarding: 'proxy' },
  'tls proxy': { protocol: 'tls', forwarding: 'proxy' },
  'tcp proxy': { protocol: 'tcp', forwarding: 'proxy' },
  'tcp full_nat': { protocol: 'tcp', forwarding: 'full_nat' },
  'udp full_nat': { protocol: 'udp', forwarding: 'full_nat' },
  'tcp dr': { protocol: 'tcp', forwarding: 'dr' },
  'udp dr': { protocol: 'udp', forwarding: 'dr' },
  'tcp tunnel': { protocol: 'tcp', forwarding: 'tunnel' },
  'udp tunnel': { protocol: 'udp', forwarding: 'tunnel' },
} as const satisfies Record<string, Carried>

export type Mode = keyof typeof MODES
