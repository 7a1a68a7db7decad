/* One answer that is being written: events in, text out. Repeats are harmless, gaps are noticed. */

import type { Part, TurnEvent, TurnNotice } from '../app/wire'

export interface AnswerEnd {
  readonly kind: 'finished' | 'failed'
  /** Why it finished, or the code of the failure. */
  readonly reason: string
  readonly message: string | null
  readonly kept: boolean
  readonly costText: string | null
}

/** Code points, as the server counts: not UTF-16 units. */
export function codePoints(text: string): number {
  let count = 0
  for (let at = 0; at < text.length; at += 1) {
    const unit = text.charCodeAt(at)
    if (unit < 0xdc00 || unit > 0xdfff) count += 1
  }
  return count
}

/** A text that grows by pieces with offsets. */
class Growing {
  text = ''
  #length = 0

  set(text: string): void {
    this.text = text
    this.#length = codePoints(text)
  }

  /** False when text before `offset` is missing. What is there already is not added again. */
  add(offset: number, piece: string): boolean {
    if (offset > this.#length) return false
    const known = this.#length - offset
    const fresh = known === 0 ? piece : [...piece].slice(known).join('')
    if (!fresh) return true
    this.text += fresh
    this.#length += codePoints(fresh)
    return true
  }
}

export function textOf(parts: readonly Part[], type: 'text' | 'reasoning' = 'text'): string {
  return parts.map((part) => (part.type === type ? part.text : '')).join('')
}

export class LiveAnswer {
  readonly #text = new Growing()
  readonly #reasoning = new Growing()
  tools: readonly string[] = []
  pictures: readonly Part[] = []
  notices: readonly TurnNotice[] = []
  model: string | null = null
  accepted = false
  end: AnswerEnd | null = null

  /** `parts`: what the conversation already told of this answer. */
  constructor(parts: readonly Part[] = []) {
    this.#take(parts)
  }

  get text(): string {
    return this.#text.text
  }

  get reasoning(): string {
    return this.#reasoning.text
  }

  /** The parts as they stand, for the message that remains. */
  get parts(): Part[] {
    const parts: Part[] = [...this.pictures]
    if (this.text) parts.unshift({ type: 'text', text: this.text })
    if (this.reasoning) parts.unshift({ type: 'reasoning', text: this.reasoning })
    for (const name of this.tools) parts.push({ type: 'tool_call', name, arguments: '' })
    return parts
  }

  /** Takes one event. `gap`: text is missing, so the log has to be read anew. */
  apply(event: TurnEvent): 'on' | 'done' | 'gap' {
    switch (event.type) {
      case 'accepted':
        this.accepted = true
        this.model = event.model
        return 'on'
      case 'text_added':
        this.accepted = true
        return this.#text.add(event.offset, event.text) ? 'on' : 'gap'
      case 'reasoning_added':
        this.accepted = true
        return this.#reasoning.add(event.offset, event.text) ? 'on' : 'gap'
      case 'tool_used':
        if (!this.tools.includes(event.name)) this.tools = [...this.tools, event.name]
        return 'on'
      case 'notice':
        this.#notice({ code: event.code, message: event.message ?? event.code })
        return 'on'
      case 'snapshot':
        this.accepted = true
        this.#take(event.message.parts)
        return 'on'
      case 'finished':
        this.end = { kind: 'finished', reason: event.reason, message: null, kept: true, costText: event.cost_text ?? null }
        return 'done'
      case 'failed':
        this.end = { kind: 'failed', reason: event.code, message: event.message ?? null, kept: event.kept, costText: null }
        return 'done'
      default:
        // A newer server may tell more than this page knows; the rest still makes sense without it.
        return 'on'
    }
  }

  #take(parts: readonly Part[]): void {
    this.#text.set(textOf(parts, 'text'))
    this.#reasoning.set(textOf(parts, 'reasoning'))
    this.tools = parts.flatMap((part) => (part.type === 'tool_call' ? [part.name] : []))
    this.pictures = parts.filter((part) => part.type === 'image')
  }

  #notice(notice: TurnNotice): void {
    this.notices = [...this.notices.filter(({ code }) => code !== notice.code), notice]
  }
}
