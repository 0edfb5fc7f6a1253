// Compresses what the server will serve, and fails the build where a size is over its gate (KB of gzip).
//
// Vite's manifest says which chunk imports which, so that what is counted is what a browser loads: the shell before any
// page, and each page with everything that it needs beyond the shell.
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const GATES = { shell: 230, dashboard: 260, page: 60, css: 50, all: 800 }

const dist = new URL('../dist', import.meta.url).pathname
const manifest = JSON.parse(await readFile(join(dist, '.vite/manifest.json'), 'utf8'))
await rm(join(dist, '.vite'), { recursive: true })

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

/** The scripts that come with a chunk: itself and what it imports at once. */
function scripts(key, found = new Set()) {
  const { file, imports = [] } = manifest[key]
  if (!found.has(file)) {
    found.add(file)
    for (const other of imports) scripts(other, found)
  }
  return found
}

const total = (files) => [...files].reduce((sum, name) => sum + sizes.get(name), 0)
const chunk = (end) => Object.keys(manifest).find((key) => key.endsWith(end))
// One language is read before anything is shown; the larger one counts.
const dictionary = Math.max(...['i18n/en.ts', 'i18n/zh.ts'].map((end) => total(scripts(chunk(end)))))
const shell = scripts('index.html')
// It comes with the first page that is not the dashboard.
const pageTexts = Math.max(...['i18n/pages-en.ts', 'i18n/pages-zh.ts'].map((end) => total(scripts(chunk(end)))))
const dashboard = chunk('Dashboard.tsx')
const page = (key) => total([...scripts(key)].filter((file) => !shell.has(file)))
const pages = Object.keys(manifest).filter((key) => key.startsWith('src/pages/') && manifest[key].isDynamicEntry)

const results = [
  ['shell', total(shell) + dictionary, GATES.shell],
  ...pages.map((key) => [key, page(key) + (key === dashboard ? 0 : pageTexts), GATES.page]),
  ['shell and dashboard', total(shell) + dictionary + page(dashboard), GATES.dashboard],
  ['css', total(names.filter((name) => name.endsWith('.css'))), GATES.css],
  ['all', total(names), GATES.all],
]
const over = results.filter(([, size, most]) => size > most)
for (const [what, size, most] of results) console.log(`${size.toFixed(1).padStart(7)} KB gz of ${most}  ${what}`)
for (const [what, size, most] of over) console.error(`${what} is ${size.toFixed(1)} KB gz: over its gate of ${most}`)
if (over.length > 0) process.exit(1)
