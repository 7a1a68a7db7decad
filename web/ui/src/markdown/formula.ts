/* Draws a formula with KaTeX; a chunk of its own, loaded at the first formula. */

import katex from 'katex'
import 'katex/dist/katex.min.css'

/** Replaces the source in `holder` by the drawn formula; a formula KaTeX refuses stays as its source. */
export function drawFormula(holder: HTMLElement, display: boolean): boolean {
  const drawn = document.createElement('span')
  try {
    // `render` sets styles through the object model, which the content policy allows; a string of HTML would not pass.
    katex.render(holder.textContent, drawn, {
      displayMode: display,
      throwOnError: true,
      trust: false,
      strict: 'ignore',
      maxExpand: 500,
      maxSize: 20,
      output: 'htmlAndMathml',
    })
  } catch {
    return false
  }
  holder.replaceChildren(...drawn.childNodes)
  return true
}
