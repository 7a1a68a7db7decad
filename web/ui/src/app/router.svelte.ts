/* Where the page is: `/` for a new conversation, `/c/{id}` for an opened one; on the History API. */

const state = $state({ path: location.pathname })

addEventListener('popstate', () => (state.path = location.pathname))

/** The opened conversation, or null where a new one begins. */
export function routedConversation(): string | null {
  return /^\/c\/([\w-]+)$/.exec(state.path)?.[1] ?? null
}

/** Goes to a path of the page. `replace` leaves no step for the back button. */
export function navigate(path: string, replace = false): void {
  if (path === state.path) return
  history[replace ? 'replaceState' : 'pushState'](null, '', path)
  state.path = path
}

/** Turns a plain click on one of our links into a navigation; new tabs and downloads stay the browser's. */
export function onLink(event: MouseEvent): void {
  const link = event.currentTarget as HTMLAnchorElement
  if (event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
  event.preventDefault()
  navigate(link.pathname)
}
