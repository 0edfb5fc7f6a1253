import { createTheme, type MantineColorsTuple } from '@mantine/core'

/** The plan's accent, darkest where Mantine fills buttons (shade 7). */
const accent: MantineColorsTuple = [
  '#eaf0fe',
  '#d3dffb',
  '#a9c1f8',
  '#83a8ff',
  '#5c86ee',
  '#3d6be0',
  '#2a5ad2',
  '#1f4fc4',
  '#173f9f',
  '#10306f',
]

/** Ours from light text to the darkest ground: Mantine's own dark palette is another grey. */
const dark: MantineColorsTuple = [
  '#e7edf3',
  '#b3c0cc',
  '#93a3b2',
  '#64778a',
  '#27333f',
  '#212c36',
  '#1a232c',
  '#141b22',
  '#0d1217',
  '#080b0e',
]

/** The page has one banner: a dialogue's header is none. */
const plainHeader = { header: { role: 'none' } }

/** Used at run time and, for the style sheet of variables, while building. */
export const theme = createTheme({
  primaryColor: 'accent',
  primaryShade: 7,
  colors: { accent, dark },
  fontFamily: 'system-ui, -apple-system, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, monospace',
  fontSizes: { xs: '12px', sm: '13px', md: '14px', lg: '16px', xl: '20px' },
  spacing: { xs: '4px', sm: '8px', md: '12px', lg: '16px', xl: '20px' },
  radius: { xs: '4px', sm: '6px', md: '6px', lg: '10px', xl: '16px' },
  defaultRadius: 'sm',
  focusRing: 'auto',
  respectReducedMotion: true,
  components: {
    Modal: {
      defaultProps: { lockScroll: false, centered: true, radius: 'lg', padding: 'lg', attributes: plainHeader },
    },
    Drawer: { defaultProps: { lockScroll: false, padding: 'lg', attributes: plainHeader } },
  },
})
