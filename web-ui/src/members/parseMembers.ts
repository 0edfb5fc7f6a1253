/** Members as people paste them: one per line, `address`, `address:port` or `name address:port`. */
export interface PastedMember {
  name: string
  address: string
  port: number
}

/** The faults of a text, each as `line:3` or `duplicate:3`. */
export interface Pasted {
  members: PastedMember[]
  faults: string[]
}

const ADDRESS = /^(25[0-5]|2[0-4]\d|1?\d?\d)(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}$/

export const isAddress = (text: string) => ADDRESS.test(text)

export function parseMembers(text: string, defaultPort: number): Pasted {
  const members: PastedMember[] = []
  const faults: string[] = []
  const seen = new Set<string>()
  text.split('\n').forEach((line, index) => {
    const words = line.split(/[\s,;]+/).filter((word) => word !== '')
    const last = words.pop()
    if (last === undefined) return
    const [address = '', port = String(defaultPort)] = last.split(':')
    const number = /^\d{1,5}$/.test(port) ? Number(port) : 0
    const key = `${address}:${number}`
    if (!isAddress(address) || number < 1 || number > 65535) faults.push(`line:${index + 1}`)
    else if (seen.has(key)) faults.push(`duplicate:${index + 1}`)
    else members.push({ name: words.length > 0 ? words.join(' ') : key, address, port: number })
    seen.add(key)
  })
  return { members, faults }
}
