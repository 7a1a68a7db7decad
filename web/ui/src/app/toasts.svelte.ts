/* Short notes at the edge of the page; never the only record of anything. */

export interface Toast {
  readonly id: number
  readonly text: string
  readonly tone: 'plain' | 'bad'
}

let shown = $state.raw<readonly Toast[]>([])
let count = 0

export function toasts(): readonly Toast[] {
  return shown
}

export function dismiss(id: number): void {
  shown = shown.filter((toast) => toast.id !== id)
}

/** Shows a note for a while; bad news stays longer. */
export function toast(text: string, tone: Toast['tone'] = 'plain'): void {
  count += 1
  const id = count
  shown = [...shown.slice(-2), { id, text, tone }]
  setTimeout(() => dismiss(id), tone === 'bad' ? 8000 : 4000)
}
