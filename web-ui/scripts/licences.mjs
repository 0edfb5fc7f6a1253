// Holds the packages to licences that let the console be given on: what is served to browsers must be permissive, what only
// builds and tests may also be MPL-2.0 or CC-BY-4.0. The lock file says them for every package.
import { readFile } from 'node:fs/promises'

const SERVED = ['MIT', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', 'Apache-2.0', '0BSD', 'Unlicense', 'CC0-1.0']
const TOOLS = [...SERVED, 'MPL-2.0', 'CC-BY-4.0', 'BlueOak-1.0.0', 'Python-2.0', 'CC-BY-3.0']

const { packages } = JSON.parse(await readFile(new URL('../package-lock.json', import.meta.url), 'utf8'))
const fits = (licence = 'none', allowed) =>
  licence
    .replace(/[()]/g, '')
    .split(' OR ')
    .some((one) => one.split(' AND ').every((part) => allowed.includes(part)))
const wrong = Object.entries(packages).filter(
  ([name, { license, dev, devOptional }]) => name !== '' && !fits(license, dev || devOptional ? TOOLS : SERVED),
)
for (const [name, { license }] of wrong) console.error(`${name}: the licence ${license} is not one of those we take`)
if (wrong.length > 0) process.exit(1)
