/** Language and theme: the only things that this browser remembers. */
import { ActionIcon, useComputedColorScheme, useMantineColorScheme } from '@mantine/core'
import { IconLanguage, IconMoon, IconSun } from '@tabler/icons-react'
import { useTranslation } from 'react-i18next'
import { setLanguage } from '../i18n/index.ts'

export function Preferences() {
  const { t, i18n } = useTranslation()
  // To stop transitions meanwhile Mantine would write a style element, which the policy forbids.
  const { setColorScheme } = useMantineColorScheme({ keepTransitions: true })
  const dark = useComputedColorScheme('light') === 'dark'
  const themeWord = dark ? t('header.toLight') : t('header.toDark')
  const languageWord = t('header.language')
  const other = i18n.language === 'en' ? 'zh-CN' : 'en'
  return (
    <>
      <ActionIcon
        variant="subtle"
        color="gray"
        lang={other}
        aria-label={languageWord}
        title={languageWord}
        onClick={() => void setLanguage(other)}
      >
        <IconLanguage size={18} />
      </ActionIcon>
      <ActionIcon
        variant="subtle"
        color="gray"
        aria-label={themeWord}
        title={themeWord}
        onClick={() => setColorScheme(dark ? 'light' : 'dark')}
      >
        {dark ? <IconSun size={18} /> : <IconMoon size={18} />}
      </ActionIcon>
    </>
  )
}
