/* What Enter means: sends on a physical keyboard, breaks the line on a touch keyboard; never within a composition. */

/** True when this key press sends the text. Ctrl or ⌘ with Enter always sends. */
export function sendsOnEnter(event: KeyboardEvent): boolean {
  // 229: Safari reports the Enter that ends a composition with this code only.
  if (event.key !== 'Enter' || event.isComposing || event.keyCode === 229) return false
  if (event.ctrlKey || event.metaKey) return true
  return !event.shiftKey && !event.altKey && matchMedia('(pointer: fine)').matches
}
