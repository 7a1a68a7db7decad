/* The account's event stream: one tab of a browser holds it and tells the others. */

import type { AccountEvent } from '../app/wire'
import { follow } from './follower'

/** What the account's stream told; `reconnected` asks to look at everything again. */
export type AccountNews = AccountEvent | { readonly type: 'reconnected' }

/** Listens to an account's news until the returned function is called. `onSignedOut`: the session has ended. */
export function listen(account: string, onNews: (news: AccountNews) => void, onSignedOut: () => void): () => void {
  const stopped = new AbortController()
  let stopStream: (() => void) | null = null
  const channel = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel(`parley-${account}`)
  if (channel) channel.onmessage = ({ data }: MessageEvent<AccountNews>) => onNews(data)

  const hold = () => {
    stopStream = follow({
      url: (after) => `/api/events${after ? `?after=${encodeURIComponent(after)}` : ''}`,
      after: null,
      onOpen: () => tell({ type: 'reconnected' }),
      onEvent: (data) => {
        tell(data as AccountEvent)
        return 'on'
      },
      onEnd: (ending) => {
        if (ending.kind === 'refused' && ending.status === 401) onSignedOut()
      },
    })
  }
  const tell = (news: AccountNews) => {
    onNews(news)
    channel?.postMessage(news)
  }

  // Locks exist in secure contexts only; elsewhere each tab holds a stream of its own.
  if ('locks' in navigator && channel) {
    navigator.locks
      .request(`parley-events-${account}`, { signal: stopped.signal }, async () => {
        hold()
        await new Promise((resolve) => stopped.signal.addEventListener('abort', resolve))
      })
      .catch((error: unknown) => {
        if (!stopped.signal.aborted) throw error
      })
  } else {
    hold()
  }
  return () => {
    stopped.abort()
    stopStream?.()
    channel?.close()
  }
}
