/* The conversation list: newest first, page by page, refreshed when the account's stream says so. */

import { api, messageOf } from '../app/api'
import type { ConversationItem, Page } from '../app/wire'

const PAGE = 50

export class ConversationList {
  items = $state.raw<readonly ConversationItem[]>([])
  next = $state.raw<string | null>(null)
  ready = $state(false)
  error = $state<string | null>(null)
  #busy = false
  #again = false

  /** Fetches the newest page and merges it; calls during a fetch are joined into one more. */
  async refresh(): Promise<void> {
    if (this.#busy) {
      this.#again = true
      return
    }
    this.#busy = true
    try {
      do {
        this.#again = false
        const page = await api<Page<ConversationItem>>('GET', `/conversations?limit=${PAGE}`)
        const oldest = page.items.at(-1)?.updated_at
        const known = new Set(page.items.map(({ id }) => id))
        const older = page.next === null ? [] : this.items.filter((item) => !known.has(item.id) && oldest !== undefined && item.updated_at < oldest)
        if (!older.length) this.next = page.next
        this.items = [...page.items, ...older]
        this.error = null
      } while (this.#again)
      this.ready = true
    } catch (error) {
      this.error = messageOf(error)
    } finally {
      this.#busy = false
    }
  }

  /** Fetches the next older page. */
  async more(): Promise<void> {
    if (this.next === null) return
    try {
      const page = await api<Page<ConversationItem>>(
        'GET',
        `/conversations?limit=${PAGE}&before=${encodeURIComponent(this.next)}`,
      )
      const known = new Set(this.items.map(({ id }) => id))
      this.items = [...this.items, ...page.items.filter(({ id }) => !known.has(id))]
      this.next = page.next
    } catch (error) {
      this.error = messageOf(error)
    }
  }

  /** Shows a change at once, before the server's own list arrives. */
  patch(id: string, change: Partial<ConversationItem>): void {
    this.items = this.items.map((item) => (item.id === id ? { ...item, ...change } : item))
  }

  remove(id: string): void {
    this.items = this.items.filter((item) => item.id !== id)
  }
}

/** When a conversation was last touched, as the list groups it. */
export type Age = { readonly kind: 'today' | 'yesterday' | 'week' } | { readonly kind: 'month'; readonly month: Date }

/** Groups items by age, keeping their order. Pure. */
export function groupByAge(items: readonly ConversationItem[], now: Date): { age: Age; items: ConversationItem[] }[] {
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime()
  const day = 86_400_000
  const groups = new Map<string, { age: Age; items: ConversationItem[] }>()
  for (const item of items) {
    const at = new Date(item.updated_at)
    const time = at.getTime()
    const age: Age =
      time >= midnight
        ? { kind: 'today' }
        : time >= midnight - day
          ? { kind: 'yesterday' }
          : time >= midnight - 7 * day
            ? { kind: 'week' }
            : { kind: 'month', month: new Date(at.getFullYear(), at.getMonth(), 1) }
    const key = age.kind === 'month' ? String(age.month.getTime()) : age.kind
    const group = groups.get(key)
    if (group) group.items.push(item)
    else groups.set(key, { age, items: [item] })
  }
  return [...groups.values()]
}
