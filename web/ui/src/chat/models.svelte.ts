/* The models one may choose, and the one a new conversation begins with. */

import { api } from '../app/api'
import type { ModelItem, Models } from '../app/wire'

class ModelChoice {
  items = $state.raw<readonly ModelItem[]>([])
  /** What the next new conversation uses; null leaves it to the server. */
  chosen = $state<string | null>(null)
  #default = $state<string | null>(null)

  /** Without the list the page still works: the server chooses. */
  async load(preferred: string | null): Promise<void> {
    const models = await api<Models>('GET', '/models')
    this.items = models.items
    this.#default = models.default
    this.chosen ??= preferred
  }

  /** The model in force for a conversation's own choice (null for none). */
  current(own: string | null): string | null {
    const known = (name: string | null) => (this.items.some((item) => item.name === name) ? name : null)
    return known(own) ?? known(this.chosen) ?? known(this.#default) ?? this.items[0]?.name ?? null
  }

  /** Chooses for new conversations, on this account everywhere. */
  async chooseDefault(name: string): Promise<void> {
    this.chosen = name
    await api('PATCH', '/me', { default_model: name })
  }
}

export const models = new ModelChoice()
