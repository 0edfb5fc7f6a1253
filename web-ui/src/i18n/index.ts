/**
 * Which language the console speaks, and its dictionaries, of which only the one in use is loaded: the frame's before anything
 * is shown, the pages' with the first page that needs it.
 */
import i18next from 'i18next'
import { initReactI18next } from 'react-i18next'
import { isolated } from '../ui/bidi.ts'
import type { en } from './en.ts'
import type { pagesEn } from './pages-en.ts'

/** The shape of a dictionary: the same keys as the English one, any texts. */
type Texts<T> = { [Key in keyof T]: T[Key] extends string ? string : Texts<T[Key]> }
type English = typeof en & typeof pagesEn
export type Dictionary = Texts<typeof en>
export type PagesDictionary = Texts<typeof pagesEn>
export type Language = 'en' | 'zh-CN'

type Keys<T> = { [Key in keyof T & string]: T[Key] extends string ? Key : `${Key}.${Keys<T[Key]>}` }[keyof T & string]
/** The way to a text. */
export type TextKey = Keys<English>

declare module 'i18next' {
  interface CustomTypeOptions {
    defaultNS: 'translation'
    resources: { translation: English }
  }
}

const STORED = 'penstock.language'

/** What the appliance says in sentences, in the language in use. */
const sayings: Partial<Record<Language, (sentence: string) => string>> = {}

/** Nothing waits for it: what was shown before is shown anew. */
async function listen(language: Language, load: () => Promise<(sentence: string) => string>) {
  sayings[language] = await load()
  if (i18next.language === language) i18next.emit('languageChanged', language)
}

export const said = (sentence: string): string => sayings[i18next.language as Language]?.(sentence) ?? sentence

const dictionaries: Record<Language, { frame: () => Promise<Dictionary>; pages: () => Promise<PagesDictionary> }> = {
  en: {
    frame: async () => (await import('./en.ts')).en,
    pages: async () => (await import('./pages-en.ts')).pagesEn,
  },
  'zh-CN': {
    frame: async () => {
      void listen('zh-CN', async () => (await import('./sayings-zh.ts')).saidInChinese)
      return (await import('./zh.ts')).zh
    },
    pages: async () => (await import('./pages-zh.ts')).pagesZh,
  },
}

export function preferredLanguage(stored: string | null, offered: readonly string[]): Language {
  if (stored === 'en' || stored === 'zh-CN') return stored
  return offered[0]?.toLowerCase().startsWith('zh') ? 'zh-CN' : 'en'
}

/** Whether a page has asked for its texts. */
let pagesWanted = false
const loaded = new Set<Language>()

async function loadPages(language: Language) {
  if (loaded.has(language)) return
  i18next.addResourceBundle(language, 'translation', await dictionaries[language].pages(), true, true)
  loaded.add(language)
}

/** The texts of all pages but the dashboard; what shows them waits for this. */
export async function pageTexts() {
  pagesWanted = true
  await loadPages(i18next.language as Language)
}

export async function setLanguage(language: Language) {
  localStorage.setItem(STORED, language)
  if (!i18next.hasResourceBundle(language, 'translation')) {
    i18next.addResourceBundle(language, 'translation', await dictionaries[language].frame())
  }
  if (pagesWanted) await loadPages(language)
  await i18next.changeLanguage(language)
}

/** Loads the dictionary that is wanted; nothing can be shown before. */
export async function startTranslating() {
  i18next.on('languageChanged', (language) => (document.documentElement.lang = language))
  const language = preferredLanguage(localStorage.getItem(STORED), navigator.languages)
  await i18next.use(initReactI18next).init({
    lng: language,
    resources: { [language]: { translation: await dictionaries[language].frame() } },
    // React shows texts as texts; what others wrote must not turn the rest of a sentence around.
    interpolation: { escapeValue: true, escape: isolated },
  })
  return i18next
}
