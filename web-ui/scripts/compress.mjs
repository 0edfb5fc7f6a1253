// Compresses what the server will serve, and holds the sizes to their gates (KB of gzip).
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const dist = new URL('../dist', import.meta.url).pathname
const gates = { css: 50, all: 800, firstLoad: 260 }

const names = (await readdir(dist, { recursive: true })).filter((name) => /\.(js|css|html|svg|json)$/.test(name))
const sizes = new Map()
for (const name of names) {
  const bytes = await readFile(join(dist, name))
  const gzip = gzipSync(bytes, { level: 9 })
  const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } })
  sizes.set(name, gzip.length / 1000)
  if (gzip.length < bytes.length) await writeFile(join(dist, `${name}.gz`), gzip)
  if (brotli.length < bytes.length) await writeFile(join(dist, `${name}.br`), brotli)
}

const sum = (test) => [...sizes].reduce((total, [name, size]) => (test(name) ? total + size : total), 0)
const html = await readFile(join(dist, 'index.html'), 'utf8')
const first = (name) => html.includes(name) || /assets\/(Dashboard|TimeChart)/.test(name)
const found = {
  css: sum((n) => n.endsWith('.css')),
  all: sum(() => true),
  firstLoad: sum((n) => n.endsWith('.js') && first(n)),
}
for (const [name, size] of [...sizes].sort()) console.log(`${size.toFixed(1).padStart(7)} KB gz  ${name}`)
let failed = false
for (const [what, most] of Object.entries(gates)) {
  const over = found[what] > most
  failed ||= over
  console.log(`${what}: ${found[what].toFixed(1)} KB gz of ${most}${over ? ': too much' : ''}`)
}
if (failed) process.exit(1)
