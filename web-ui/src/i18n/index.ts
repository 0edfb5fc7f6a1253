/** Which language the console speaks, and its dictionaries, of which only the one in use is loaded. */
import i18next from 'i18next'
import { initReactI18next } from 'react-i18next'
import type { en } from './en.ts'

/** The shape of a dictionary: the same keys as the English one, any texts. */
type Texts<T> = { [Key in keyof T]: T[Key] extends string ? string : Texts<T[Key]> }
export type Dictionary = Texts<typeof en>
export type Language = 'en' | 'zh-CN'

type Keys<T> = { [Key in keyof T & string]: T[Key] extends string ? Key : `${Key}.${Keys<T[Key]>}` }[keyof T & string]
/** The way to a text. */
export type TextKey = Keys<typeof en>

declare module 'i18next' {
  interface CustomTypeOptions {
    defaultNS: 'translation'
    resources: { translation: typeof en }
  }
}

const STORED = 'penstock.language'

const dictionaries: Record<Language, () => Promise<Dictionary>> = {
  en: async () => (await import('./en.ts')).en,
  'zh-CN': async () => (await import('./zh.ts')).zh,
}

export function preferredLanguage(stored: string | null, offered: readonly string[]): Language {
  if (stored === 'en' || stored === 'zh-CN') return stored
  return offered[0]?.toLowerCase().startsWith('zh') ? 'zh-CN' : 'en'
}

export async function setLanguage(language: Language) {
  localStorage.setItem(STORED, language)
  if (!i18next.hasResourceBundle(language, 'translation')) {
    i18next.addResourceBundle(language, 'translation', await dictionaries[language]())
  }
  await i18next.changeLanguage(language)
}

/** Loads the dictionary that is wanted; nothing can be shown before. */
export async function startTranslating() {
  i18next.on('languageChanged', (language) => (document.documentElement.lang = language))
  const language = preferredLanguage(localStorage.getItem(STORED), navigator.languages)
  await i18next.use(initReactI18next).init({
    lng: language,
    resources: { [language]: { translation: await dictionaries[language]() } },
    // React shows texts as texts.
    interpolation: { escapeValue: false },
  })
  return i18next
}
