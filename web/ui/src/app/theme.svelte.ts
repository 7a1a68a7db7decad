/* Light, dark or the system's choice; src/theme.js applies the same choice before the first paint. */

import { recall, remember } from './storage'

export type Theme = 'system' | 'light' | 'dark'

const stored = recall('theme')
const state = $state<{ theme: Theme }>({ theme: stored === 'light' || stored === 'dark' ? stored : 'system' })

export function theme(): Theme {
  return state.theme
}

export function setTheme(theme: Theme): void {
  state.theme = theme
  remember('theme', theme === 'system' ? null : theme)
  if (theme === 'system') delete document.documentElement.dataset['theme']
  else document.documentElement.dataset['theme'] = theme
}
