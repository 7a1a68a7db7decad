import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Message, OpenedConversation, Turn } from '../app/wire'
import { Conversation } from './conversation.svelte'

/* A pretend server: `answers` by method and path; each request waits until the test lets it go, when it is held. */

type Answer = () => Response | Promise<Response>

let answers: Record<string, Answer>
let asked: { route: string; body: Record<string, unknown> }[]

const json = (body: unknown, status = 200) => new Response(JSON.stringify(body), { status })
const refusal = (status: number) => json({ error: { code: 'no', message: 'Refused.' } }, status)
const silence = () => new Response(new ReadableStream(), { status: 200 })

const turn = (change: Partial<Turn> = {}): Turn => ({
  id: 't1',
  conversation: 'c1',
  state: 'running',
  position: null,
  user_message: 'q1',
  answer: 'a1',
  ...change,
})

const message = (id: string, parent: string | null, text: string): Message => ({
  id,
  parent,
  role: id.startsWith('q') ? 'user' : 'assistant',
  parts: [{ type: 'text', text }],
  state: 'done',
  turn: 't0',
  model: 'm',
  author_name: null,
  created_at: '',
})

const opened = (change: Partial<OpenedConversation> = {}): OpenedConversation => ({
  conversation: { id: 'c1', title: 'T', door: 'web', model: null, head: 'a0', updated_at: '' },
  messages: [message('q0', null, 'Question'), message('a0', 'q0', 'Answer')],
  turns: [],
  ended: {},
  ...change,
})

const hooks = { onCreated: vi.fn(), onGone: vi.fn(), onEnded: vi.fn(), onQueuedRefused: vi.fn(), onError: vi.fn() }
const ids = (conversation: Conversation) => conversation.path.map(({ message: { id } }) => id)
const settle = (ms = 0) => vi.advanceTimersByTimeAsync(ms)

beforeEach(() => {
  vi.useFakeTimers()
  vi.clearAllMocks()
  asked = []
  answers = { 'GET /api/conversations/c1': () => json(opened()) }
  vi.stubGlobal('fetch', async (url: string, init: RequestInit = {}) => {
    const route = `${init.method ?? 'GET'} ${url.split('?')[0]}`
    asked.push({ route, body: typeof init.body === 'string' ? JSON.parse(init.body) : {} })
    if (route.endsWith('/events')) return silence()
    return (await answers[route]?.()) ?? refusal(500)
  })
})

afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

describe('a conversation', () => {
  it('shows question and answer as soon as the server has them', async () => {
    answers['POST /api/turns'] = () => json({ turn: turn() })
    const conversation = new Conversation(hooks)
    expect(await conversation.send('Hello', null)).toBe(true)
    expect(ids(conversation)).toEqual(['q1', 'a1'])
    expect(conversation.isRunning).toBe(true)
    expect(hooks.onCreated).toHaveBeenCalledWith('c1')
    conversation.close()
  })

  it('keeps what was begun when an older picture of it arrives late', async () => {
    let release = () => undefined as void
    answers['GET /api/conversations/c1'] = () => new Promise((resolve) => (release = () => resolve(json(opened()))))
    answers['POST /api/turns'] = () => json({ turn: turn() })
    const conversation = new Conversation(hooks)
    conversation.open('c1')
    await settle()
    const late = release
    await conversation.send('Hello', null)
    late()
    await settle()
    expect(ids(conversation)).toEqual(['q1', 'a1'])
    conversation.close()
  })

  it('sends the same text again under the same key when no answer came', async () => {
    answers['POST /api/turns'] = () => Promise.reject(new TypeError('network'))
    const conversation = new Conversation(hooks)
    expect(await conversation.send('Hello', null)).toBe(false)
    expect(conversation.refused).not.toBeNull()
    await conversation.send('Hello', null)
    await conversation.send('Other', null)
    const keys = asked.filter(({ route }) => route === 'POST /api/turns').map(({ body }) => body['key'])
    expect(keys[0]).toBe(keys[1])
    expect(keys[2]).not.toBe(keys[1])
  })

  it('shows a question that waits, and says so when it is refused in the end', async () => {
    const conversation = new Conversation(hooks)
    conversation.open('c1')
    await settle()
    answers['POST /api/turns'] = () => json({ turn: turn({ state: 'queued', position: 1, user_message: null, answer: null }) })
    await conversation.send('Later', null)
    expect(conversation.queued.map(({ text }) => text)).toEqual(['Later'])
    const end = { state: 'failed', finish: null, error: { code: 'no_credits', message: 'No credits.' }, cost_text: '0.00', notices: [] }
    answers['GET /api/conversations/c1'] = () => json(opened({ ended: { t1: end } }))
    await settle(500)
    expect(conversation.queued).toEqual([])
    expect(hooks.onQueuedRefused).toHaveBeenCalledWith('Later', 'No credits.')
    conversation.close()
  })

  it('makes a branch beside the question that is edited', async () => {
    const conversation = new Conversation(hooks)
    conversation.open('c1')
    await settle()
    answers['POST /api/messages/q0/edit'] = () => json({ turn: turn() })
    await conversation.edit(message('q0', null, ''), 'Better')
    expect(ids(conversation)).toEqual(['q1', 'a1'])
    expect(conversation.path[0]?.siblings).toEqual(['q0', 'q1'])
    conversation.switchTo('q0')
    expect(ids(conversation)).toEqual(['q0', 'a0'])
    conversation.close()
  })

  it('takes back a change the server refuses', async () => {
    const conversation = new Conversation(hooks)
    conversation.open('c1')
    await settle()
    answers['PATCH /api/conversations/c1'] = () => refusal(400)
    conversation.rename('Wrong')
    expect(conversation.title).toBe('Wrong')
    await settle(500)
    expect(hooks.onError).toHaveBeenCalledWith('Refused.')
    expect(conversation.title).toBe('T')
  })

  it('is gone when the server does not know it', async () => {
    answers['GET /api/conversations/c1'] = () => refusal(404)
    const conversation = new Conversation(hooks)
    conversation.open('c1')
    await settle()
    expect(hooks.onGone).toHaveBeenCalled()
  })
})
