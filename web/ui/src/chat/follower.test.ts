import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { BACKOFF_FIRST_MS, follow, SILENCE_MS, type Ending } from './follower'

/* A pretend server: each connection is answered by the next script; what the follower asked for is kept. */

type Script = (controller: ReadableStreamDefaultController<Uint8Array>) => void

const bytes = (text: string) => new TextEncoder().encode(text)
const frame = (seq: number, data: unknown) => bytes(`id: e.${seq}\ndata: ${JSON.stringify(data)}\n\n`)

function server(...scripts: (Script | number | 'refused')[]) {
  const asked: string[] = []
  const send = (async (url: string, init: RequestInit) => {
    const script = scripts[Math.min(asked.length, scripts.length - 1)]
    asked.push(url)
    if (script === 'refused') throw new TypeError('no connection')
    if (typeof script === 'number') return new Response('', { status: script })
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        init.signal?.addEventListener('abort', () => {
          try {
            controller.error(new DOMException('aborted', 'AbortError'))
          } catch {
            // It had ended already.
          }
        })
        script?.(controller)
      },
    })
    return new Response(body, { status: 200 })
  }) as unknown as typeof fetch
  return { asked, send }
}

function run(send: typeof fetch, verdict: (data: unknown) => 'on' | 'done' | 'restart' = (data) => (data === 'end' ? 'done' : 'on')) {
  const got: unknown[] = []
  const endings: Ending[] = []
  const waits: boolean[] = []
  const stop = follow({
    url: (after) => `/events?after=${after ?? ''}`,
    after: null,
    onEvent: (data) => {
      got.push(data)
      return verdict(data)
    },
    onEnd: (ending) => endings.push(ending),
    onWaiting: (waiting) => waits.push(waiting),
    fetch: send,
    random: () => 1,
  })
  return { got, endings, waits, stop }
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

const settle = (ms = 0) => vi.advanceTimersByTimeAsync(ms)

describe('following a log', () => {
  it('reads to the end and asks no more', async () => {
    const { asked, send } = server((to) => {
      to.enqueue(frame(1, 'a'))
      to.enqueue(frame(2, 'end'))
    })
    const { got, endings } = run(send)
    await settle(60_000)
    expect(got).toEqual(['a', 'end'])
    expect(endings).toEqual([{ kind: 'done' }])
    expect(asked).toHaveLength(1)
  })

  it('resumes behind the last event it has after a cut', async () => {
    const { asked, send } = server(
      (to) => {
        to.enqueue(frame(1, 'a'))
        to.close()
      },
      (to) => {
        to.enqueue(frame(2, 'b'))
        to.enqueue(frame(3, 'end'))
      },
    )
    const { got, waits } = run(send)
    await settle(BACKOFF_FIRST_MS)
    expect(asked).toEqual(['/events?after=', '/events?after=e.1'])
    expect(got).toEqual(['a', 'b', 'end'])
    expect(waits).toEqual([false, true, false])
  })

  it('keeps half a frame of a cut connection out of the next one', async () => {
    const { send } = server(
      (to) => {
        to.enqueue(bytes('id: e.1\ndata: "lo'))
        to.close()
      },
      (to) => to.enqueue(frame(1, 'end')),
    )
    const { got } = run(send)
    await settle(BACKOFF_FIRST_MS)
    expect(got).toEqual(['end'])
  })

  it('waits longer after each failure, up to a bound', async () => {
    const { asked, send } = server('refused')
    const { stop } = run(send)
    const counts: number[] = []
    for (const ms of [0, 250, 500, 1000, 2000, 4000, 8000, 8000]) {
      await settle(ms)
      counts.push(asked.length)
    }
    stop()
    expect(counts).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  })

  it('tries again after a server error', async () => {
    const { asked, send } = server(503, (to) => to.enqueue(frame(1, 'end')))
    const { got } = run(send)
    await settle(BACKOFF_FIRST_MS)
    expect([asked.length, got]).toEqual([2, ['end']])
  })

  it('gives up when asking again cannot help', async () => {
    const { asked, send } = server(404)
    const { endings } = run(send)
    await settle(60_000)
    expect(endings).toEqual([{ kind: 'refused', status: 404 }])
    expect(asked).toHaveLength(1)
  })

  it('renews a connection that fell silent, and comments count as life', async () => {
    const { asked, send } = server(
      (to) => {
        to.enqueue(frame(1, 'a'))
        setTimeout(() => to.enqueue(bytes(': still here\n\n')), SILENCE_MS - 1000)
      },
      (to) => to.enqueue(frame(2, 'end')),
    )
    const { got } = run(send)
    await settle(SILENCE_MS + 1000)
    expect(asked).toHaveLength(1)
    await settle(SILENCE_MS)
    expect(asked).toEqual(['/events?after=', '/events?after=e.1'])
    expect(got).toEqual(['a', 'end'])
  })

  it('reads from the start after a gap', async () => {
    const { asked, send } = server(
      (to) => to.enqueue(frame(5, 'gap')),
      (to) => to.enqueue(frame(6, 'end')),
    )
    run(send, (data) => (data === 'end' ? 'done' : 'restart'))
    await settle(BACKOFF_FIRST_MS)
    expect(asked).toEqual(['/events?after=', '/events?after='])
  })

  it('comes back at once when the network does', async () => {
    const { asked, send } = server('refused')
    const { stop } = run(send)
    await settle(3000)
    const before = asked.length
    dispatchEvent(new Event('online'))
    await settle(0)
    stop()
    expect(asked.length).toBe(before + 1)
  })

  it('is silent once it was stopped', async () => {
    const { asked, send } = server((to) => to.close())
    const { stop, endings } = run(send)
    await settle(0)
    stop()
    await settle(60_000)
    expect([asked.length, endings.length]).toEqual([1, 0])
  })
})
