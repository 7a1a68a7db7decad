/* A conversation is a tree of messages; the page shows one path of it. Pure. */

import type { Message } from '../app/wire'

/** A message on the shown path with its place among the branches that start where it does. */
export interface Step {
  readonly message: Message
  /** Ids of the messages with the same parent and role, oldest first; this one is among them. */
  readonly siblings: readonly string[]
  readonly index: number
}

/** The path from the first message to `head`; without a head, to the newest leaf. System texts are not shown. */
export function pathTo(messages: readonly Message[], head: string | null): Step[] {
  const byId = new Map(messages.map((message) => [message.id, message]))
  const path: Message[] = []
  const seen = new Set<string>()
  let current = byId.get(head ?? '') ?? messages.at(-1)
  while (current && !seen.has(current.id)) {
    seen.add(current.id)
    path.unshift(current)
    current = current.parent === null ? undefined : byId.get(current.parent)
  }
  const families = new Map<string, string[]>()
  for (const message of messages) {
    const key = familyOf(message)
    const family = families.get(key)
    if (family) family.push(message.id)
    else families.set(key, [message.id])
  }
  return path
    .filter(({ role }) => role === 'user' || role === 'assistant')
    .map((message) => {
      const siblings = families.get(familyOf(message)) ?? [message.id]
      return { message, siblings, index: siblings.indexOf(message.id) }
    })
}

function familyOf(message: Message): string {
  return `${message.parent ?? ''} ${message.role}`
}

/** The leaf reached from `id` by always taking the newest child: where a switched branch continues. */
export function leafUnder(messages: readonly Message[], id: string): string {
  const newestChild = new Map<string, string>()
  for (const { parent, id: child } of messages) if (parent !== null) newestChild.set(parent, child)
  let leaf = id
  const seen = new Set<string>()
  for (let next: string | undefined = leaf; next && !seen.has(next); next = newestChild.get(leaf)) {
    seen.add(next)
    leaf = next
  }
  return leaf
}
