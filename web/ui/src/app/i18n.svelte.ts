/* The language of the page: the server's own catalogues, one chunk per locale, switched without a reload. */

import type en from '@locales/en.json'
import { format, matchLocale, type Catalogue, type Params } from './messages'
import { recall, remember } from './storage'

export type Key = keyof typeof en

const loaders: Readonly<Record<string, () => Promise<{ default: Catalogue }>>> = {
  en: () => import('@locales/en.json'),
  'zh-CN': () => import('@locales/zh-CN.json'),
}

/** Locales the page offers, with the name each has in itself. */
export const LOCALES = [
  { code: 'en', name: 'English' },
  { code: 'zh-CN', name: '简体中文' },
] as const

const codes = LOCALES.map(({ code }) => code as string)
const state = $state<{ locale: string; catalogue: Catalogue }>({ locale: 'en', catalogue: {} })

/** The text of a key in the reader's language; reactive. */
export function t(key: Key, params?: Params): string {
  return format(state.catalogue, state.locale, key, params)
}

export function locale(): string {
  return state.locale
}

/** The locale to begin with: the one chosen here before, else the browser's. */
export function preferredLocale(): string {
  const chosen = recall('locale')
  return matchLocale(codes, chosen ? [chosen, ...navigator.languages] : navigator.languages)
}

/** Loads a locale's words, then shows them. */
export async function setLocale(wish: string): Promise<void> {
  const code = matchLocale(codes, [wish])
  const load = loaders[code]
  if (!load) return
  const words = (await load()).default
  state.catalogue = words
  state.locale = code
  document.documentElement.lang = code
  remember('locale', code)
}
