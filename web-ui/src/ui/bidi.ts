/**
 * A word that somebody else wrote, within a sentence. What it holds of other directions stays in it (Unicode Standard Annex 9): it
 * neither turns the rest around nor ends its own bounds early.
 */
const DIRECTED =
  /[\u0590-\u08FF\u200E\u200F\u202A-\u202E\u2066-\u2069\uFB1D-\uFDFF\uFE70-\uFEFF\u{10800}-\u{10FFF}\u{1E800}-\u{1EFFF}]/u
const BEGIN = /[\u2066-\u2068]/
const FIRST_STRONG = '\u2068'
const END = '\u2069'

export function isolated(text: string): string {
  if (!DIRECTED.test(text)) return text
  let open = 0
  let kept = ''
  for (const letter of text) {
    if (BEGIN.test(letter)) open += 1
    // It would end the bounds that are set here.
    if (letter === END && open === 0) continue
    if (letter === END) open -= 1
    kept += letter
  }
  return FIRST_STRONG + kept + END.repeat(open + 1)
}

/** A sentence of the appliance, which puts names between backticks. */
export const sentence = (text: string) => text.replace(/`([^`]*)`/g, (_, name: string) => `\`${isolated(name)}\``)
