/* The page's start: its language, its session, then the frame. */

import { mount } from 'svelte'
import './styles/tokens.css'
import './styles/base.css'
import App from './app/App.svelte'
import { configureApi } from './app/api'
import { locale, preferredLocale, setLocale, t } from './app/i18n.svelte'
import { session } from './app/session.svelte'

configureApi({
  onSignedOut: () => session.end(),
  locale,
  words: (what) => t(what === 'network' ? 'web.error.network' : 'web.error.server'),
})

const words = setLocale(preferredLocale())
const known = session.refresh()
// Beside the questions, not after them; should it fail, the frame asks again and says so.
import('./chat/Chat.svelte').catch(() => undefined)
await words
const target = document.getElementById('app')
if (target) mount(App, { target })
await known
