import { convertCssVariables, DEFAULT_THEME, defaultCssVariablesResolver, mergeMantineTheme } from '@mantine/core'
import react from '@vitejs/plugin-react'
import { type Plugin } from 'vite'
import { defineConfig } from 'vitest/config'
import { theme } from './src/theme/theme.ts'

/**
 * The theme's variables as a style sheet. At run time Mantine would write them into a `<style>` element, which the
 * Content-Security-Policy forbids.
 */
function themeVariables(): Plugin {
  const name = 'virtual:theme-variables.css'
  return {
    name: 'theme-variables',
    resolveId: (id) => (id === name ? `\0${name}` : null),
    load: (id) => {
      if (id !== `\0${name}`) return null
      const merged = mergeMantineTheme(DEFAULT_THEME, theme)
      const css = convertCssVariables(defaultCssVariablesResolver(merged), ':root')
      return `@layer mantine-variables {\n${css}\n}`
    },
  }
}

export default defineConfig({
  plugins: [react(), themeVariables()],
  build: {
    outDir: 'dist',
    target: 'es2022',
    // A data: address for a small file would be inline; everything is a file of this origin.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    // For scripts/compress.mjs, which removes it.
    manifest: true,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: 'react', test: /node_modules\/(react|react-dom|scheduler)\// },
            {
              name: 'tanstack',
              test: /node_modules\/@tanstack\/(react-query|query-core|react-router|router-core|history|react-store|store)\//,
            },
          ],
        },
      },
    },
  },
  server: { proxy: { '/api': { target: process.env.PENSTOCK_API ?? 'https://198.18.0.2:8443', secure: false } } },
  test: { environment: 'happy-dom', include: ['src/**/*.test.{ts,tsx}'] },
})
