/* A pretend server for working on the page alone: `npm run dev -- --mode mock`. Everything lives in memory.

   Log in as `mei` with `parley`; as `root` the password must be changed first. It keeps the real API's shapes and
   its stream's promises (numbered events, offsets in code points, resume), and nothing else of the real server. */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Connect, Plugin } from 'vite'
import { CHINESE, QUESTION, SHOWCASE, THOUGHTS } from './answers.ts'

interface Message {
  id: string
  parent: string | null
  role: string
  parts: { type: string; text: string }[]
  state: string
  turn: string | null
  model: string | null
  author_name: string | null
  created_at: string
}

interface Turn {
  id: string
  conversation: string
  state: string
  position: number | null
  user_message: string | null
  answer: string | null
  text: string
  events: Record<string, unknown>[]
  wake: Set<() => void>
  stopped: boolean
}

interface Conversation {
  id: string
  title: string
  door: string
  model: string
  head: string | null
  updated_at: string
  messages: Message[]
  turns: Turn[]
}

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; " +
  "manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'self'; object-src 'none'; frame-ancestors 'none'"
const HOUR = 3_600_000

let count = 0
const id = (kind: string) => `${kind}_${(count += 1).toString(36).padStart(6, '0')}`
const ago = (ms: number) => new Date(Date.now() - ms).toISOString()
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

class Refusal extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly field?: string,
  ) {
    super(message)
  }
}

class World {
  mustChange = false
  locale: string | null = null
  balance = 1204.5
  conversations: Conversation[] = []
  listeners = new Set<(event: object) => void>()
  link: Record<string, unknown> | null = null

  constructor() {
    this.seed('东京三日行程', 'telegram', 5 * HOUR, '帮我排一份东京三日行程', CHINESE)
    this.seed('Queue tests', 'web', HOUR, QUESTION, SHOWCASE)
    this.seed('Kubernetes probes, readiness and how they differ', 'discord', 26 * HOUR, 'What is a probe?', 'A question the kubelet asks.')
    this.seed('Quarterly plan', 'web', 80 * HOUR, 'How would you split it?', 'Three parts, by owner.')
    for (let n = 1; n <= 12; n += 1) this.seed(`Reading notes ${n}`, 'web', (10 + n * 9) * 24 * HOUR, 'Summarise', 'Done.')
  }

  seed(title: string, door: string, age: number, question: string, answer: string): void {
    const conversation: Conversation = { id: id('conv'), title, door, model: 'claude-y', head: null, updated_at: ago(age), messages: [], turns: [] }
    const turn = this.turn(conversation, question, null, null)
    turn.state = 'done'
    const message = conversation.messages.find((one) => one.id === turn.answer)
    if (message) Object.assign(message, { state: 'done', parts: [{ type: 'text', text: answer }] })
    this.conversations.push(conversation)
  }

  turn(conversation: Conversation, text: string, parent: string | null, question: string | null): Turn {
    const turn: Turn = { id: id('turn'), conversation: conversation.id, state: 'running', position: null, user_message: question, answer: id('msg'), text, events: [], wake: new Set(), stopped: false }
    const shared = { turn: turn.id, author_name: null, created_at: new Date().toISOString() }
    if (question === null) {
      turn.user_message = id('msg')
      conversation.messages.push({ id: turn.user_message, parent, role: 'user', parts: [{ type: 'text', text }], state: 'done', model: null, ...shared })
    }
    conversation.messages.push({ id: turn.answer ?? '', parent: turn.user_message, role: 'assistant', parts: [], state: 'streaming', model: conversation.model, ...shared })
    conversation.head = turn.answer
    conversation.turns.push(turn)
    return turn
  }

  tell(event: object): void {
    for (const listener of this.listeners) listener(event)
  }

  async run(conversation: Conversation, turn: Turn): Promise<void> {
    const message = conversation.messages.find((one) => one.id === turn.answer)
    if (!message) return
    const append = (event: Record<string, unknown>) => {
      turn.events.push(event)
      for (const wake of turn.wake) wake()
    }
    append({ type: 'accepted', conversation: conversation.id, user_message: turn.user_message, answer: turn.answer, model: conversation.model, held_micro: 0 })
    this.tell({ type: 'turn_started', conversation: conversation.id, turn: turn.id })
    const fails = turn.text.includes('fail')
    let reasoning = ''
    for (const piece of THOUGHTS.match(/.{1,12}/g) ?? []) {
      append({ type: 'reasoning_added', offset: reasoning.length, text: piece })
      reasoning += piece
      await pause(15)
    }
    let text = ''
    const source = /[一-鿿]/.test(turn.text) ? CHINESE : turn.text.includes('long') ? `${SHOWCASE}\n\n`.repeat(20) : SHOWCASE
    for (const piece of source.match(/[\s\S]{1,7}/g) ?? []) {
      if (turn.stopped || (fails && text.length > 200)) break
      append({ type: 'text_added', offset: [...text].length, text: piece })
      text += piece
      message.parts = [{ type: 'reasoning', text: reasoning }, { type: 'text', text }]
      await pause(turn.text.includes('slow') ? 60 : turn.text.includes('long') ? 4 : 18)
    }
    this.balance -= 0.31
    turn.state = turn.stopped ? 'stopped' : fails ? 'failed' : 'done'
    message.state = fails ? 'partial' : 'done'
    if (fails) append({ type: 'failed', code: 'upstream_cut', message: 'The model broke off. What came is kept.', kept: true })
    else append({ type: 'finished', reason: turn.stopped ? 'stopped' : 'stop', cost_micro: 310_000, balance_micro: 0, cost_text: '0.31' })
    const next = conversation.turns.find(({ state }) => state === 'queued')
    if (next) this.promote(conversation, next)
    this.tell({ type: 'turn_ended', conversation: conversation.id, turn: turn.id })
    this.tell({ type: 'balance_changed' })
  }

  promote(conversation: Conversation, waiting: Turn): void {
    conversation.turns = conversation.turns.filter((one) => one !== waiting)
    const turn = this.turn(conversation, waiting.text, conversation.head, null)
    turn.id = waiting.id
    for (const message of conversation.messages) if (message.id === turn.answer || message.id === turn.user_message) message.turn = turn.id
    void this.run(conversation, turn)
  }
}

export function mockServer(): Plugin {
  const world = new World()
  const use = (middlewares: Connect.Server) => {
    middlewares.use((request, response, next) => {
      if (!request.url?.startsWith('/api')) {
        if (!request.url?.startsWith('/@') && !request.url?.startsWith('/src') && process.env['MOCK_POLICY']) response.setHeader('Content-Security-Policy', POLICY)
        next()
        return
      }
      handle(world, request, response).catch((error: unknown) => {
        const refusal = error instanceof Refusal ? error : new Refusal(500, 'internal', String(error))
        json(response, refusal.status, { error: { code: refusal.code, message: refusal.message, field: refusal.field } })
      })
    })
  }
  return {
    name: 'mock-server',
    configureServer: ({ middlewares }) => use(middlewares),
    configurePreviewServer: ({ middlewares }) => use(middlewares),
  }
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' })
  response.end(JSON.stringify(body))
}

async function bodyOf(request: IncomingMessage): Promise<Record<string, string>> {
  let text = ''
  for await (const piece of request) text += String(piece)
  if (request.method !== 'GET' && request.headers['x-parley'] !== '1') throw new Refusal(403, 'csrf', 'The page header is missing.')
  return text ? (JSON.parse(text) as Record<string, string>) : {}
}

async function handle(world: World, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://mock')
  const body = request.method === 'GET' ? {} : await bodyOf(request)
  const path = url.pathname.slice('/api'.length)
  const route = `${request.method} ${path.replace(/\/(conv|turn|msg|lnk)_\w+/g, '/:$1')}`
  const target = /\/((?:conv|turn|msg|lnk)_\w+)/.exec(path)?.[1] ?? ''
  const ok = (answer: unknown) => json(response, 200, answer)
  const text = body['text'] ?? ''
  if (route === 'POST /login') {
    await pause(200)
    if (body['password'] !== 'parley') throw new Refusal(401, 'login_failed', 'That name and password do not belong together.')
    const name = (body['username'] ?? '').replace(/\W/g, '')
    world.mustChange = name === 'root'
    response.setHeader('Set-Cookie', `session=${name}; HttpOnly; SameSite=Lax; Path=/`)
    return ok({})
  }
  const user = /session=(\w+)/.exec(request.headers.cookie ?? '')?.[1]
  if (!user) throw new Refusal(401, 'not_logged_in', 'Please log in.')
  const conversation = () => {
    const found = world.conversations.find((one) => one.id === target || one.turns.some((turn) => turn.id === target) || one.messages.some((message) => message.id === target))
    if (!found) throw new Refusal(404, 'conversation_unknown', 'There is no such conversation.')
    return found
  }
  const turnOf = () => conversation().turns.find((one) => one.id === target)
  const begin = (home: Conversation, question: string, parent: string | null, existing: string | null) => {
    home.updated_at = new Date().toISOString()
    if (home.turns.some(({ state }) => state === 'running')) {
      const position = 1 + home.turns.filter(({ state }) => state === 'queued').length
      const turn: Turn = { id: id('turn'), conversation: home.id, state: 'queued', position, user_message: null, answer: null, text: question, events: [], wake: new Set(), stopped: false }
      home.turns.push(turn)
      return ok({ turn: shape(turn) })
    }
    const turn = world.turn(home, question, parent, existing)
    void world.run(home, turn)
    return ok({ turn: shape(turn) })
  }
  switch (route) {
    case 'POST /logout':
      response.setHeader('Set-Cookie', 'session=; Max-Age=0; Path=/')
      return ok({})
    case 'POST /password':
      if ((body['new'] ?? '').length < 8) throw new Refusal(400, 'password_short', 'A password has at least 8 characters.', 'new')
      world.mustChange = false
      return ok({})
    case 'GET /me':
    case 'PATCH /me':
      world.locale = body['locale'] ?? world.locale
      return ok({
        account: { id: `acc_${user}`, name: user, display_name: user === 'mei' ? 'Mei' : user, role: 'user', locale: world.locale, must_change_password: world.mustChange, default_model: null },
        balance: { available: world.balance * 1e6, text: world.balance.toFixed(2) },
        site: { name: 'Parley' },
        identities: [{ provider: 'telegram', display: '@mei' }],
      })
    case 'GET /models':
      return ok({ items: [{ name: 'claude-y', demo: false, free: false }, { name: 'gpt-x-mini', demo: false, free: true }, { name: 'parley-demo', demo: true, free: true }], default: 'claude-y' })
    case 'GET /conversations': {
      const sorted = world.conversations.toSorted((a, b) => (a.updated_at < b.updated_at ? 1 : -1))
      const from = Number(url.searchParams.get('before') ?? 0)
      return ok({ items: sorted.slice(from, from + 10).map(line), next: from + 10 < sorted.length ? String(from + 10) : null })
    }
    case 'GET /conversations/:conv': {
      const home = conversation()
      const over = home.turns.filter(({ state }) => !['running', 'queued'].includes(state))
      return ok({
        conversation: line(home),
        messages: home.messages,
        turns: home.turns.filter((turn) => !over.includes(turn)).map((turn) => ({ ...shape(turn), text: turn.text, epoch: 'mock', seq: turn.events.length })),
        ended: Object.fromEntries(over.map((turn) => [turn.id, { state: turn.state, finish: turn.state === 'stopped' ? 'stopped' : 'stop', error: turn.state === 'failed' ? { code: 'upstream_cut', message: 'The model broke off. What came is kept.' } : null, cost_text: '0.31', usage: null, notices: [] }])),
      })
    }
    case 'PATCH /conversations/:conv': {
      const home = conversation()
      Object.assign(home, Object.fromEntries(Object.entries(body).filter(([name]) => ['title', 'head', 'model'].includes(name))))
      world.tell({ type: 'conversation_changed', conversation: home.id })
      return ok({ conversation: line(home) })
    }
    case 'DELETE /conversations/:conv':
      world.conversations = world.conversations.filter((one) => one !== conversation())
      world.tell({ type: 'conversation_changed', conversation: target })
      return ok({})
    case 'POST /turns': {
      let home = world.conversations.find((one) => one.id === body['conversation'])
      if (text.includes('no credits')) throw new Refusal(402, 'no_credits', 'Your balance does not cover this: 1.20 credits are missing.')
      if (!home) {
        home = { id: id('conv'), title: [...text].slice(0, 40).join(''), door: 'web', model: body['model'] ?? 'claude-y', head: null, updated_at: '', messages: [], turns: [] }
        world.conversations.push(home)
      }
      return begin(home, text, home.head, null)
    }
    case 'POST /turns/:turn/retry': {
      const turn = turnOf()
      return begin(conversation(), turn?.text ?? '', null, turn?.user_message ?? null)
    }
    case 'POST /turns/:turn/continue':
      return begin(conversation(), 'Continue', turnOf()?.answer ?? null, null)
    case 'POST /turns/:turn/stop': {
      const turn = turnOf()
      if (turn) turn.stopped = true
      if (turn?.state === 'queued') conversation().turns = conversation().turns.filter((one) => one !== turn)
      return ok({})
    }
    case 'POST /messages/:msg/edit':
      return begin(conversation(), text, conversation().messages.find((one) => one.id === target)?.parent ?? null, null)
    case 'GET /turns/:turn/events':
      return stream(response, turnOf(), url.searchParams.get('after'))
    case 'GET /events':
      return accountStream(world, response)
    case 'POST /links':
      world.link = { id: 'lnk_1', side: 'issuer', other_label: null, mine_agreed: false, other_agreed: false, state: 'open', expires_at: ago(-600_000) }
      setTimeout(() => {
        Object.assign(world.link ?? {}, { state: 'claimed', other_label: 'Telegram @mei' })
        world.tell({ type: 'link_changed', link: 'lnk_1' })
      }, 5000)
      return ok({ link: world.link, code: 'K7QM2XWP' })
    case 'POST /links/claim':
      if (body['code'] !== 'AAAABBBB') throw new Refusal(404, 'link_unknown', 'This code is not valid, or not any more.', 'code')
      world.link = { id: 'lnk_1', side: 'claimant', other_label: 'Telegram @mei', mine_agreed: false, other_agreed: false, state: 'claimed', expires_at: ago(-600_000) }
      return ok({ link: world.link })
    case 'GET /links/:lnk':
      return ok({ link: world.link })
    case 'POST /links/:lnk/agree':
      Object.assign(world.link ?? {}, { mine_agreed: true, other_agreed: true, state: 'done' })
      return ok({ link: world.link })
    case 'POST /links/:lnk/refuse':
      Object.assign(world.link ?? {}, { state: 'refused' })
      return ok({ link: world.link })
    default:
      throw new Refusal(404, 'route_unknown', `There is no ${route}.`)
  }
}

function shape({ id: turn, conversation, state, position, user_message, answer }: Turn): object {
  return { id: turn, conversation, state, position, user_message, answer }
}

function line({ id: key, title, door, updated_at, model, head, turns }: Conversation): object {
  return { id: key, title, door, updated_at, model, head, running: turns.some(({ state }) => state === 'running') }
}

function open(response: ServerResponse): void {
  response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8', 'Cache-Control': 'no-store' })
  response.write(': open\n\n')
}

function stream(response: ServerResponse, turn: Turn | undefined, after: string | null): void {
  if (!turn) throw new Refusal(404, 'turn_unknown', 'There is no such turn.')
  open(response)
  let next = Number(after?.split('.').pop() ?? 0)
  const flush = () => {
    for (; next < turn.events.length; next += 1) {
      const event = turn.events[next]
      response.write(`id: mock.${next + 1}\ndata: ${JSON.stringify(event)}\n\n`)
      if (event?.['type'] === 'finished' || event?.['type'] === 'failed') response.end()
    }
  }
  turn.wake.add(flush)
  response.on('close', () => turn.wake.delete(flush))
  flush()
}

function accountStream(world: World, response: ServerResponse): void {
  open(response)
  let seq = 0
  const listener = (event: object) => response.write(`id: mock.${(seq += 1)}\ndata: ${JSON.stringify(event)}\n\n`)
  world.listeners.add(listener)
  response.on('close', () => world.listeners.delete(listener))
}
