/* How the page is built, tried and served while developing. */

import { fileURLToPath } from 'node:url'
import { svelte } from '@sveltejs/vite-plugin-svelte'
import { defineConfig } from 'vitest/config'
import { budget, compressed, themeScript, woff2Only } from './build/plugins.ts'
import { mockServer } from './mock/server.ts'

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const server = process.env['PARLEY_DEV_SERVER'] ?? 'http://127.0.0.1:8000'

export default defineConfig(({ mode }) => ({
  plugins: [
    woff2Only(),
    svelte({ configFile: false }),
    themeScript(),
    compressed(),
    budget({ js: 120 * 1024, css: 12 * 1024 }),
    ...(mode === 'mock' ? [mockServer()] : []),
  ],
  resolve: {
    alias: { '@locales': here('../../core/i18n/locales') },
    ...(mode === 'test' ? { conditions: ['browser'] } : {}),
  },
  build: {
    target: ['chrome123', 'firefox121', 'safari17.5'],
    // A small font inlined as `data:` would be refused by `font-src 'self'`.
    assetsInlineLimit: 0,
    // Every browser of the target list preloads modules by itself.
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 600,
  },
  server: {
    host: '127.0.0.1',
    proxy: mode === 'mock' ? {} : { '/api': server, '/v1': server },
    fs: { allow: [here('.'), here('../../core/i18n/locales')] },
  },
  preview: { host: '127.0.0.1' },
  test: { environment: 'happy-dom', css: true, include: ['src/**/*.test.ts'] },
}))
