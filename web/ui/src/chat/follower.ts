/* Follows a numbered event log over fetch: resumes where it was, backs off, and wakes a connection that fell silent. */

import { SseParser } from './sse'

export const BACKOFF_FIRST_MS = 250
export const BACKOFF_LAST_MS = 8000
/** The server writes a comment every 15 s; twice that without a byte means that the connection is dead. */
export const SILENCE_MS = 30_000

/** Why following ended by itself. `refused` carries the status that will not change by asking again. */
export type Ending = { readonly kind: 'done' } | { readonly kind: 'refused'; readonly status: number }

export interface FollowOptions {
  /** The address for a cursor; null reads from the start. */
  readonly url: (after: string | null) => string
  readonly after: string | null
  /** One event. `done` ends the following; `restart` forgets the cursor and reads anew (a gap). */
  readonly onEvent: (data: unknown, cursor: string | null) => 'on' | 'done' | 'restart'
  readonly onEnd: (ending: Ending) => void
  /** True while the connection is down and being renewed. */
  readonly onWaiting?: (waiting: boolean) => void
  /** A connection stands (again): what was missed outside the log can be fetched. */
  readonly onOpen?: () => void
  readonly fetch?: typeof fetch
  readonly random?: () => number
}

/** Begins to follow; returns the function that stops it. */
export function follow(options: FollowOptions): () => void {
  const send = options.fetch ?? ((...args: Parameters<typeof fetch>) => fetch(...args))
  const random = options.random ?? Math.random
  let after = options.after
  let stopped = false
  let delay = BACKOFF_FIRST_MS
  let connection: AbortController | null = null
  let wake: (() => void) | null = null
  let heardAt = Date.now()

  const stop = () => {
    stopped = true
    connection?.abort()
    wake?.()
    removeEventListener('online', hurry)
    document.removeEventListener('visibilitychange', onVisible)
  }
  const end = (ending: Ending) => {
    if (stopped) return
    stop()
    options.onEnd(ending)
  }
  const hurry = () => {
    delay = BACKOFF_FIRST_MS
    if (wake) wake()
    else if (Date.now() - heardAt > SILENCE_MS / 2) connection?.abort()
  }
  const onVisible = () => {
    if (document.visibilityState === 'visible') hurry()
  }
  addEventListener('online', hurry)
  document.addEventListener('visibilitychange', onVisible)
  void run()
  return stop

  async function run(): Promise<void> {
    while (!stopped) {
      const heard = await connect()
      if (stopped) return
      options.onWaiting?.(true)
      if (heard) delay = BACKOFF_FIRST_MS
      await pause(delay * (0.5 + random() / 2))
      delay = Math.min(delay * 2, BACKOFF_LAST_MS)
    }
  }

  function pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timer)
        wake = null
        resolve()
      }
      const timer = setTimeout(finish, ms)
      wake = finish
    })
  }

  /** One connection; true when it brought at least one event. */
  async function connect(): Promise<boolean> {
    const abort = new AbortController()
    connection = abort
    let heard = false
    let watchdog = setTimeout(() => abort.abort(), SILENCE_MS)
    try {
      const response = await send(options.url(after), {
        headers: { Accept: 'text/event-stream' },
        credentials: 'same-origin',
        cache: 'no-store',
        signal: abort.signal,
      })
      if (response.status >= 400 && response.status < 500 && response.status !== 408 && response.status !== 429) {
        end({ kind: 'refused', status: response.status })
        return false
      }
      if (!response.ok || !response.body) {
        const wait = Number(response.headers.get('Retry-After') ?? 0) * 1000
        if (wait > 0) delay = Math.min(wait, BACKOFF_LAST_MS)
        return false
      }
      options.onWaiting?.(false)
      options.onOpen?.()
      const parser = new SseParser()
      const reader = response.body.getReader()
      for (;;) {
        const { value, done } = await reader.read()
        if (done || stopped) return heard
        heardAt = Date.now()
        clearTimeout(watchdog)
        watchdog = setTimeout(() => abort.abort(), SILENCE_MS)
        for (const frame of parser.feed(value)) {
          heard = true
          if (frame.id !== null) after = frame.id
          const verdict = options.onEvent(JSON.parse(frame.data), frame.id)
          if (verdict === 'done') {
            end({ kind: 'done' })
            return true
          }
          if (verdict === 'restart') {
            after = null
            return false
          }
          if (stopped) return true
        }
      }
    } catch {
      return heard
    } finally {
      clearTimeout(watchdog)
      abort.abort()
      connection = null
    }
  }
}
