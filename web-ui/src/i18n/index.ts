/** Which language the console speaks, and its dictionaries. */
import i18next from 'i18next'
import { initReactI18next } from 'react-i18next'
import { en } from './en.ts'
import { zh } from './zh.ts'

/** The shape of a dictionary: the same keys as the English one, any texts. */
type Texts<T> = { [Key in keyof T]: T[Key] extends string ? string : Texts<T[Key]> }
export type Dictionary = Texts<typeof en>
export type Language = 'en' | 'zh-CN'

declare module 'i18next' {
  interface CustomTypeOptions {
    defaultNS: 'translation'
    resources: { translation: typeof en }
  }
}

const STORED = 'penstock.language'

export function preferredLanguage(stored: string | null, offered: readonly string[]): Language {
  if (stored === 'en' || stored === 'zh-CN') return stored
  return offered[0]?.toLowerCase().startsWith('zh') ? 'zh-CN' : 'en'
}

export function setLanguage(language: Language) {
  localStorage.setItem(STORED, language)
  void i18next.changeLanguage(language)
}

export function startTranslating() {
  i18next.on('languageChanged', (language) => (document.documentElement.lang = language))
  void i18next.use(initReactI18next).init({
    lng: preferredLanguage(localStorage.getItem(STORED), navigator.languages),
    fallbackLng: 'en',
    resources: { en: { translation: en }, 'zh-CN': { translation: zh } },
    // React shows texts as texts.
    interpolation: { escapeValue: false },
  })
  return i18next
}
