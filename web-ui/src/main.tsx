import { MantineProvider } from '@mantine/core'
import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import './theme/layers.css'
import '@mantine/core/styles.layer.css'
import 'virtual:theme-variables.css'
import './theme/tokens.css'
import './theme/app.css'
import './theme/pages.css'
import { makeQueryClient } from './app/queryClient.ts'
import { router } from './app/router.tsx'
import { startTranslating } from './i18n/index.ts'
import { theme } from './theme/theme.ts'

await startTranslating()
const root = document.getElementById('root')
if (root !== null) {
  createRoot(root).render(
    <StrictMode>
      {/* The variables come in a file, made while building: no style element passes the Content-Security-Policy. */}
      <MantineProvider theme={theme} defaultColorScheme="auto" withCssVariables={false} withGlobalClasses={false}>
        <QueryClientProvider client={makeQueryClient()}>
          <RouterProvider router={router} />
        </QueryClientProvider>
      </MantineProvider>
    </StrictMode>,
  )
}
