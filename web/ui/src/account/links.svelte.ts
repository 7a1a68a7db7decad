/* Joining accounts by a one-time code: the state of the one link that is under way here. */

import { api, ApiError, messageOf } from '../app/api'
import type { Link } from '../app/wire'

class Linking {
  open = $state(false)
  link = $state.raw<Link | null>(null)
  /** Our code, shown while nobody has entered it. */
  code = $state<string | null>(null)
  error = $state<string | null>(null)
  busy = $state(false)

  /** Forgets what was under way. */
  reset(): void {
    this.link = null
    this.code = null
    this.error = null
  }

  start(): Promise<void> {
    return this.#act(async () => {
      const started = await api<{ link: Link; code: string }>('POST', '/links')
      this.link = started.link
      this.code = started.code
    })
  }

  claim(code: string): Promise<void> {
    return this.#act(async () => {
      const claimed = await api<{ link: Link }>('POST', '/links/claim', { code: tidyCode(code) })
      this.link = claimed.link
    })
  }

  /** Agrees or refuses; once both have agreed the accounts are one. */
  answer(verb: 'agree' | 'refuse'): Promise<void> {
    return this.#act(async () => {
      if (!this.link) return
      const answered = await api<{ link: Link }>('POST', `/links/${this.link.id}/${verb}`)
      this.link = answered.link
    })
  }

  /** The account's stream says that a link moved on; a link that waits for us opens the dialog. */
  async changed(id: string): Promise<void> {
    if (this.link && this.link.id !== id && this.link.state === 'claimed') return
    try {
      const { link } = await api<{ link: Link }>('GET', `/links/${id}`)
      const ours = this.link?.id === id
      this.link = ours || link.state === 'claimed' ? link : this.link
      if (link.state === 'claimed' && !link.mine_agreed) this.open = true
    } catch (error) {
      // A link of an account that was just joined into another cannot be read any more; nothing is left to ask.
      if (!(error instanceof ApiError)) throw error
    }
  }

  async #act(action: () => Promise<void>): Promise<void> {
    this.busy = true
    this.error = null
    try {
      await action()
    } catch (error) {
      this.error = messageOf(error)
    } finally {
      this.busy = false
    }
  }
}

/** A code as people type it, reduced to its characters. */
export function tidyCode(text: string): string {
  return text.toUpperCase().replace(/[^A-Z0-9]/g, '')
}

export const linking = new Linking()
