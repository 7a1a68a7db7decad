/* The opened conversation: its messages, the path shown, the answers being written, and everything one can do to it. */

import { api, ApiError, messageOf } from '../app/api'
import type { Message, OpenedConversation, OpenTurn, Turn, TurnEnd, TurnEvent } from '../app/wire'
import { commitDelay } from '../markdown/view'
import { LiveAnswer } from './answer'
import { follow } from './follower'
import { leafUnder, pathTo } from './tree'

/** An answer that is being written; the fields are what is shown, one commit per frame. */
export class Running {
  text = $state.raw('')
  reasoning = $state.raw('')
  tools = $state.raw<readonly string[]>([])
  notices = $state.raw<LiveAnswer['notices']>([])
  accepted = $state(false)
  reconnecting = $state(false)
  stopping = $state(false)
  readonly startedAt = Date.now()
  firstWordAt = $state<number | null>(null)
  stopFollowing: () => void = () => undefined
  #scheduled = false
  #shownAt = 0

  constructor(
    readonly turn: string,
    readonly message: string,
    readonly live: LiveAnswer,
  ) {
    this.commit()
  }

  /** Shows what arrived, at most once per frame; long texts in fewer steps. */
  schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    const wait = commitDelay(this.live.text.length) - (performance.now() - this.#shownAt)
    const commit = () => {
      this.#scheduled = false
      this.commit()
    }
    // A hidden page gets no frames, but its state must stay true for the moment it is shown again.
    if (document.visibilityState === 'hidden') setTimeout(commit, 250)
    else if (wait > 0) setTimeout(() => requestAnimationFrame(commit), wait)
    else requestAnimationFrame(commit)
  }

  commit(): void {
    this.#shownAt = performance.now()
    if (this.live.text && this.firstWordAt === null) this.firstWordAt = Date.now()
    this.text = this.live.text
    this.reasoning = this.live.reasoning
    this.tools = this.live.tools
    this.notices = this.live.notices
    this.accepted = this.live.accepted
  }
}

interface Hooks {
  /** A conversation came into being by its first question. */
  onCreated: (id: string) => void
  /** It does not exist, or not any more. */
  onGone: () => void
  /** An answer ended: for the words of the status line, the balance and the list. */
  onEnded: (text: string, failed: boolean) => void
  /** A question that waited was refused when its time came; it left no message behind. */
  onQueuedRefused: (text: string, reason: string) => void
  /** Something went wrong that has no better place. */
  onError: (message: string) => void
}

export class Conversation {
  id = $state<string | null>(null)
  title = $state('')
  door = $state('web')
  model = $state<string | null>(null)
  head = $state<string | null>(null)
  messages = $state.raw<readonly Message[]>([])
  queued = $state.raw<readonly OpenTurn[]>([])
  ended = $state.raw<Readonly<Record<string, TurnEnd>>>({})
  /** By the id of the answer's message. */
  running = $state.raw<ReadonlyMap<string, Running>>(new Map())
  phase = $state<'new' | 'loading' | 'ready' | 'failed'>('new')
  error = $state<string | null>(null)
  sending = $state(false)
  /** Why the last question was not taken; told where it was written. */
  refused = $state<string | null>(null)
  path = $derived(pathTo(this.messages, this.head))
  #generation = 0
  #loading = false
  #removing = false
  #again = false
  #reloadTimer: ReturnType<typeof setTimeout> | undefined
  #headChange: Promise<unknown> = Promise.resolve()
  #key: { text: string; key: string } | null = null

  constructor(private readonly hooks: Hooks) {}

  get isRunning(): boolean {
    return this.running.size > 0 || this.queued.length > 0
  }

  /** Shows a conversation; null is the place where a new one begins. */
  open(id: string | null): void {
    if (id === this.id && (id !== null || this.phase === 'new')) return
    this.close()
    this.id = id
    this.title = ''
    this.door = 'web'
    this.model = null
    this.head = null
    this.messages = []
    this.queued = []
    this.ended = {}
    this.error = null
    this.refused = null
    this.#key = null
    this.phase = id === null ? 'new' : 'loading'
    if (id !== null) void this.reload()
  }

  /** Stops following; the answers go on without us. */
  close(): void {
    this.#generation += 1
    clearTimeout(this.#reloadTimer)
    for (const run of this.running.values()) run.stopFollowing()
    this.running = new Map()
  }

  /** Asks the server for the truth, soon; many wishes at once are one call. */
  reloadSoon(delayMs = 120): void {
    clearTimeout(this.#reloadTimer)
    this.#reloadTimer = setTimeout(() => void this.reload(), delayMs)
  }

  async reload(): Promise<void> {
    if (this.id === null || this.#removing) return
    if (this.#loading) {
      this.#again = true
      return
    }
    this.#loading = true
    try {
      do {
        this.#again = false
        const generation = this.#generation
        const id: string | null = this.id
        if (id === null) return
        try {
          const opened = await api<OpenedConversation>('GET', `/conversations/${id}`)
          // Something was begun or another conversation opened meanwhile: this picture is old already.
          if (generation === this.#generation) this.#show(opened)
          else this.#again = true
        } catch (error) {
          if (generation === this.#generation) this.#failed(error)
          else this.#again = true
        }
      } while (this.#again)
    } finally {
      this.#loading = false
    }
  }

  #failed(error: unknown): void {
    if (error instanceof ApiError && error.status === 404) this.hooks.onGone()
    else if (this.phase === 'loading') {
      this.phase = 'failed'
      this.error = messageOf(error)
    }
  }

  #show(opened: OpenedConversation): void {
    const { conversation } = opened
    this.title = conversation.title
    this.door = conversation.door
    this.model = conversation.model
    this.head = conversation.head
    this.messages = opened.messages
    this.ended = opened.ended
    const stillOpen = new Set(opened.turns.map(({ id }) => id))
    for (const { id, text } of this.queued) {
      const reason = stillOpen.has(id) ? null : opened.ended[id]?.error?.message
      if (reason) this.hooks.onQueuedRefused(text ?? '', reason)
    }
    this.queued = opened.turns.filter(({ state }) => state === 'queued')
    this.error = null
    this.phase = 'ready'
    const open = new Set<string>()
    for (const turn of opened.turns) {
      if (turn.state !== 'running' || turn.answer === null) continue
      open.add(turn.answer)
      if (this.running.has(turn.answer)) continue
      const message = opened.messages.find(({ id }) => id === turn.answer)
      const cursor = turn.epoch !== null && turn.seq !== null ? `${turn.epoch}.${turn.seq}` : null
      this.#follow(turn.id, turn.answer, cursor, new LiveAnswer(message?.parts ?? []))
    }
    for (const [message, run] of this.running) {
      if (open.has(message) || !opened.ended[run.turn]) continue
      run.stopFollowing()
      this.#drop(message)
    }
    // A question that waits is promoted a moment after the answer before it has ended.
    if (this.queued.length && !this.running.size) this.reloadSoon(1000)
  }

  #follow(turn: string, message: string, cursor: string | null, live: LiveAnswer): void {
    const run = new Running(turn, message, live)
    this.running = new Map(this.running).set(message, run)
    run.stopFollowing = follow({
      url: (after) => `/api/turns/${turn}/events${after ? `?after=${encodeURIComponent(after)}` : ''}`,
      after: cursor,
      onWaiting: (waiting) => (run.reconnecting = waiting),
      onEvent: (data) => {
        const verdict = live.apply(data as TurnEvent)
        run.schedule()
        return verdict === 'gap' ? 'restart' : verdict
      },
      onEnd: () => this.#end(run),
    })
  }

  /** The answer's log has ended: what it told becomes the message until the server's own row arrives. */
  #end(run: Running): void {
    run.commit()
    const { end } = run.live
    if (end) {
      const failed = end.kind === 'failed'
      const known = this.ended[run.turn]
      this.messages = this.messages.map((message) =>
        message.id === run.message
          ? { ...message, parts: run.live.parts, state: failed ? (end.kept ? 'partial' : 'failed') : 'done' }
          : message,
      )
      const told: TurnEnd = {
        state: failed ? 'failed' : 'done',
        finish: failed ? null : end.reason,
        error: failed ? { code: end.reason, message: end.message ?? end.reason } : null,
        cost_text: end.costText,
        notices: run.live.notices,
      }
      this.ended = { ...this.ended, [run.turn]: known ?? told }
      this.hooks.onEnded(run.live.text, failed)
    }
    this.#drop(run.message)
    this.reloadSoon()
  }

  #drop(message: string): void {
    const running = new Map(this.running)
    running.delete(message)
    this.running = running
  }

  /** Asks. Resolves with true when the server has the question; the same text sent again after a lost answer is one turn. */
  async send(text: string, model: string | null): Promise<boolean> {
    if (this.#key?.text !== text) this.#key = { text, key: crypto.randomUUID() }
    const { key } = this.#key
    this.refused = null
    await this.#headChange
    const body = { key, conversation: this.id, text, ...(this.id === null && model ? { model } : {}) }
    const began = await this.#begin('/turns', body, this.head, text, (message) => (this.refused = message))
    if (began) this.#key = null
    return began
  }

  /** Answers the same question again, beside the answer there is. */
  async regenerate(answer: Message): Promise<void> {
    if (answer.turn) await this.#begin(`/turns/${answer.turn}/retry`, { key: crypto.randomUUID() }, answer.parent, null)
  }

  /** Goes on where a cut answer ended. */
  async continueFrom(answer: Message): Promise<void> {
    if (answer.turn) await this.#begin(`/turns/${answer.turn}/continue`, { key: crypto.randomUUID() }, answer.id, null)
  }

  /** Asks a question in other words, as a branch beside it. */
  edit(question: Message, text: string): Promise<boolean> {
    return this.#begin(`/messages/${question.id}/edit`, { key: crypto.randomUUID(), text }, question.parent, text)
  }

  async #begin(
    path: string,
    body: object,
    parent: string | null,
    text: string | null,
    onRefused: (message: string) => void = this.hooks.onError,
  ): Promise<boolean> {
    if (this.sending) return false
    this.sending = true
    const generation = this.#generation
    try {
      const { turn } = await api<{ turn: Turn }>('POST', path, body)
      if (generation === this.#generation) this.#adopt(turn, parent, text)
      return true
    } catch (error) {
      onRefused(messageOf(error))
      return false
    } finally {
      this.sending = false
    }
  }

  #adopt(turn: Turn, parent: string | null, text: string | null): void {
    this.#generation += 1
    const isNew = this.id === null
    this.id = turn.conversation
    this.phase = 'ready'
    if (turn.state === 'queued') {
      const waiting: OpenTurn = { ...turn, state: 'queued', text, epoch: null, seq: null }
      this.queued = [...this.queued.filter(({ id }) => id !== turn.id), waiting]
    } else if (turn.answer !== null) {
      const added: Message[] = []
      const created_at = new Date().toISOString()
      const shared = { turn: turn.id, model: null, author_name: null, created_at }
      if (text !== null && turn.user_message !== null) {
        added.push({ id: turn.user_message, parent, role: 'user', parts: [{ type: 'text', text }], state: 'done', ...shared })
      }
      added.push({ id: turn.answer, parent: text === null ? parent : turn.user_message, role: 'assistant', parts: [], state: 'streaming', ...shared })
      const known = new Set(this.messages.map(({ id }) => id))
      this.messages = [...this.messages, ...added.filter(({ id }) => !known.has(id))]
      this.head = turn.answer
      if (!this.running.has(turn.answer)) this.#follow(turn.id, turn.answer, null, new LiveAnswer())
    }
    if (isNew) this.hooks.onCreated(turn.conversation)
    this.reloadSoon()
  }

  /** Ends what runs here, or else what waits; what came is kept. */
  async stop(): Promise<void> {
    const shown = new Set(this.path.map(({ message }) => message.id))
    const runs = [...this.running.values()]
    const run = runs.find(({ message }) => shown.has(message)) ?? runs[0]
    const turn = run?.turn ?? this.queued[0]?.id
    if (!turn) return
    if (run) run.stopping = true
    await this.cancel(turn)
    if (run) setTimeout(() => (run.stopping = false), 3000)
  }

  async cancel(turn: string): Promise<void> {
    try {
      await api('POST', `/turns/${turn}/stop`)
      if (this.queued.some(({ id }) => id === turn)) this.reloadSoon()
    } catch (error) {
      this.hooks.onError(messageOf(error))
    }
  }

  /** Shows the branch that begins with `id`, from there to its newest end. */
  switchTo(id: string): void {
    const head = leafUnder(this.messages, id)
    this.head = head
    this.#change({ head })
  }

  rename(title: string): void {
    this.title = title
    this.#change({ title })
  }

  chooseModel(model: string): void {
    this.model = model
    this.#change({ model })
  }

  #change(change: object): void {
    const id = this.id
    if (id === null) return
    this.#generation += 1
    this.#headChange = this.#headChange
      .then(() => api('PATCH', `/conversations/${id}`, change))
      .catch((error: unknown) => {
        this.hooks.onError(messageOf(error))
        this.reloadSoon()
      })
  }

  /** Removes the conversation; true when it is gone. */
  async remove(): Promise<boolean> {
    this.#removing = true
    try {
      await api('DELETE', `/conversations/${this.id}`)
      return true
    } catch (error) {
      this.hooks.onError(messageOf(error))
      return false
    } finally {
      this.#removing = false
    }
  }
}
