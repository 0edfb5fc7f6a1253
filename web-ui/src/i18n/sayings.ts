/**
 * What the appliance says in sentences, in the reader's language. It says them in English; a language may list how it says the
 * same, and what it does not list is shown as it is. Whatever has a word for programs has texts in the dictionaries instead.
 */

/**
 * A sentence as the appliance says it, and the same in another language. `{n}` is a number, `{a}` to `{f}` are any words; those of
 * `{S}` and `{T}` are sentences themselves.
 */
export type Saying = readonly [said: string, means: string]

interface Rule {
  /** With what the sentence begins, which most others do not. */
  begins: string
  pattern: RegExp
  names: readonly string[]
  means: string
}

const PLACE = /\{(\w)\}/g
const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

function ruleOf([said, means]: Saying): Rule {
  const names = [...said.matchAll(PLACE)].map(([, name = '']) => name)
  const parts = said.split(PLACE)
  const pattern = parts.map((part, index) => {
    if (index % 2 === 0) return escaped(part)
    return part === 'n' ? '([\\d.]+)' : '([^]+?)'
  })
  return { begins: parts[0] ?? '', pattern: new RegExp(`^${pattern.join('')}$`), names, means }
}

/** Words that are longer are no sentence of ours. */
const MOST = 2000
/** Sentences within sentences. */
const DEEPEST = 4

/** What says sentences in another language by this list, the first that fits. */
export function sayingsOf(sayings: readonly Saying[]): (sentence: string) => string {
  let rules: readonly Rule[] | undefined
  const say = (sentence: string, depth: number): string => {
    if (depth > DEEPEST || sentence.length > MOST) return sentence
    rules ??= sayings.map(ruleOf)
    for (const { begins, pattern, names, means } of rules) {
      const found = sentence.startsWith(begins) ? pattern.exec(sentence) : null
      if (found === null) continue
      const words = new Map(names.map((name, index) => [name, found[index + 1] ?? '']))
      return means.replace(PLACE, (_, name: string) => {
        const word = words.get(name) ?? ''
        return name === 'S' || name === 'T' ? say(word, depth + 1) : word
      })
    }
    return sentence
  }
  return (sentence) => say(sentence, 0)
}
