/** What can be written of the machine: its name, time, log and network. */
import type { Field, Values } from '../ui/form/fields.ts'

export const MACHINE: readonly Field[] = [
  { path: 'hostname', kind: 'mono', label: 'field.hostname', required: true },
  {
    path: 'time_zone',
    kind: 'suggested',
    label: 'field.timeZone',
    required: true,
    choices: Intl.supportedValuesOf('timeZone'),
  },
  {
    path: 'ntp_servers',
    kind: 'tags',
    label: 'field.ntpServers',
    help: 'help.ntpServers',
    placeholder: 'ntp.example.net',
  },
  { path: 'dns_servers', kind: 'tags', label: 'field.dnsServers', help: 'help.dnsServers', placeholder: '192.0.2.53' },
  { path: 'dns_search', kind: 'tags', label: 'field.dnsSearch', help: 'help.dnsSearch', placeholder: 'example.net' },
]

const logs = ({ syslog }: Values) => syslog === true

export const SYSLOG: readonly Field[] = [
  { path: 'syslog', kind: 'part', label: 'field.syslog', help: 'help.syslog' },
  { path: 'syslog.server', kind: 'mono', label: 'field.server', required: true, when: logs },
  {
    path: 'syslog.port',
    kind: 'number',
    label: 'field.port',
    min: 1,
    max: 65535,
    usual: 514,
    beside: true,
    when: logs,
  },
  {
    path: 'syslog.protocol',
    kind: 'choice',
    label: 'field.protocol',
    usual: 'udp',
    choices: ['udp', 'tcp'].map((value) => ({ value, label: value.toUpperCase() })),
    when: logs,
  },
]

/** `management` asks DHCP where it has no address. */
export const interfaceFields = (name: string): readonly Field[] => [
  {
    path: `interfaces.${name}.address`,
    kind: 'mono',
    label: 'field.address',
    help: name === 'management' ? 'help.managementAddress' : 'help.portAddress',
    placeholder: '192.0.2.10/24',
  },
  {
    path: `interfaces.${name}.gateway`,
    kind: 'mono',
    label: 'field.gateway',
    help: 'help.gateway',
    placeholder: '192.0.2.1',
  },
  {
    path: `interfaces.${name}.routes`,
    kind: 'rows',
    label: 'field.routes',
    columns: [
      { key: 'destination', label: 'field.destination', kind: 'text', first: '' },
      { key: 'gateway', label: 'field.gateway', kind: 'text', first: '' },
    ],
  },
]
