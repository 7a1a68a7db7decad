/* Who is logged in: the account, its balance, the site; and the way in and out. */

import { api, ApiError } from './api'
import { locale, setLocale } from './i18n.svelte'
import type { Me } from './wire'

type Phase = 'unknown' | 'out' | 'in' | 'unreachable'

class Session {
  phase = $state<Phase>('unknown')
  me = $state.raw<Me | null>(null)
  /** The password typed a moment ago, so that a forced change need not ask for it again. */
  typed: string | null = null
  #refresh: Promise<void> | null = null

  get siteName(): string {
    return this.me?.site.name ?? 'Parley'
  }

  /** Asks who is logged in; leaves the phase alone when the server cannot be reached after that was known. */
  refresh(): Promise<void> {
    this.#refresh ??= this.#load().finally(() => (this.#refresh = null))
    return this.#refresh
  }

  async #load(): Promise<void> {
    try {
      const me = await api<Me>('GET', '/me')
      this.me = me
      if (me.account.locale && me.account.locale !== locale()) await setLocale(me.account.locale)
      this.phase = 'in'
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) this.end()
      else if (this.phase === 'unknown') this.phase = 'unreachable'
    }
  }

  async logIn(username: string, password: string): Promise<void> {
    await api('POST', '/login', { username, password })
    this.typed = password
    await this.refresh()
  }

  async logOut(): Promise<void> {
    await api('POST', '/logout')
    this.end()
  }

  async changePassword(current: string, next: string): Promise<void> {
    await api('POST', '/password', { current, new: next })
    this.typed = null
    await this.refresh()
  }

  async chooseLocale(code: string): Promise<void> {
    await setLocale(code)
    const { me } = this
    if (!me) return
    this.me = { ...me, account: { ...me.account, locale: code } }
    await api('PATCH', '/me', { locale: code })
  }

  /** The session is over, whoever noticed it. */
  end(): void {
    this.me = null
    this.typed = null
    this.phase = 'out'
  }
}

export const session = new Session()
