/* Keeps the page above an on-screen keyboard where the browser does not (iOS): one property, `--visible-height`. */

/** Follows the visible height; returns the function that stops it. Elsewhere `100dvh` and the viewport tag suffice. */
export function followKeyboard(): () => void {
  const viewport = window.visualViewport
  if (!viewport) return () => undefined
  const { style } = document.documentElement
  const fit = () => {
    // A pinched page is smaller as well, but not for a keyboard.
    const covered = viewport.scale === 1 && window.innerHeight - viewport.height > 80
    if (covered) style.setProperty('--visible-height', `${Math.round(viewport.height)}px`)
    else style.removeProperty('--visible-height')
    if (covered) window.scrollTo(0, 0)
  }
  viewport.addEventListener('resize', fit)
  return () => {
    viewport.removeEventListener('resize', fit)
    style.removeProperty('--visible-height')
  }
}
