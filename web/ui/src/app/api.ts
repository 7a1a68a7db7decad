/* Calls to the server's `/api`: JSON both ways, errors as one class whose message is already in the reader's language. */

/** A refused or failed call. `status` 0 means that no answer came. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly field: string | null = null,
    readonly retryAfterS: number | null = null,
  ) {
    super(message)
  }
}

interface Hooks {
  /** The session has ended: the page shows the log-in. */
  onSignedOut: () => void
  locale: () => string
  /** Words for failures the server could not put into words. */
  words: (what: 'network' | 'server') => string
}

let hooks: Hooks = { onSignedOut: () => undefined, locale: () => 'en', words: (what) => what }

/** Connects the calls to the session and the language of the page. */
export function configureApi(next: Hooks): void {
  hooks = next
}

interface ErrorBody {
  error?: { code?: string; message?: string; field?: string }
}

/** One call; `path` is below `/api`. Resolves with the JSON, or null for an empty answer. Throws ApiError. */
export async function api<T>(method: string, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json', 'Accept-Language': hooks.locale() }
  if (method !== 'GET') {
    headers['X-Parley'] = '1'
    headers['Content-Type'] = 'application/json'
  }
  let response: Response
  let text: string
  try {
    response = await fetch(`/api${path}`, {
      method,
      headers,
      credentials: 'same-origin',
      ...(method === 'GET' ? {} : { body: JSON.stringify(body ?? {}) }),
    })
    text = await response.text()
  } catch {
    throw new ApiError(0, 'network', hooks.words('network'))
  }
  const json = parse(text)
  if (response.ok) return json as T
  if (response.status === 401 && path !== '/login') hooks.onSignedOut()
  const { error } = (json ?? {}) as ErrorBody
  const retryAfter = Number(response.headers.get('Retry-After') ?? Number.NaN)
  throw new ApiError(
    response.status,
    error?.code ?? 'server',
    error?.message ?? hooks.words('server'),
    error?.field ?? null,
    Number.isFinite(retryAfter) ? retryAfter : null,
  )
}

function parse(text: string): unknown {
  try {
    return text ? JSON.parse(text) : null
  } catch {
    return null
  }
}

/** What to show for anything that was thrown by a call. */
export function messageOf(error: unknown): string {
  return error instanceof ApiError ? error.message : hooks.words('server')
}
