/* Small things a browser keeps for its reader. Storage may be refused or full; the page works without it. */

/** What was remembered under `name`, or null. */
export function recall(name: string): string | null {
  try {
    return localStorage.getItem(`parley.${name}`)
  } catch {
    return null
  }
}

/** Remembers a value; null forgets it. */
export function remember(name: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(`parley.${name}`)
    else localStorage.setItem(`parley.${name}`, value)
  } catch {
    // A refused store only means that the value lasts as long as the page.
  }
}
