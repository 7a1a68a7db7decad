/* What a finished block gets on top of its HTML: colours, formulas, a copy button, keyboard reach of wide boxes. */

const LONGEST_CODE = 60_000

/** Words the renderer shows, in the reader's language. */
export interface Labels {
  readonly copy: string
  readonly copied: string
  readonly code: string
  readonly table: string
}

/** Adds everything expensive or interactive to the nodes of one block. Heavy parts load when first needed. */
export function upgrade(block: HTMLElement, labels: Labels): void {
  for (const figure of block.querySelectorAll<HTMLElement>('figure.code')) upgradeCode(figure, labels)
  const formulas = [...block.querySelectorAll<HTMLElement>('.math:not([data-drawn])')]
  if (formulas.length) void drawAll(formulas)
  const boxes = block.querySelectorAll<HTMLElement>('figure.code > pre, .table')
  if (boxes.length) requestAnimationFrame(() => reachable(boxes, labels))
}

/** Puts a copy button on a code holder; also done while its text still arrives. */
export function addCopy(figure: HTMLElement, labels: Labels): void {
  const caption = figure.querySelector('figcaption')
  if (!caption || caption.querySelector('button')) return
  const button = document.createElement('button')
  button.type = 'button'
  button.className = 'copy'
  button.textContent = labels.copy
  button.addEventListener('click', () => {
    const code = figure.querySelector('pre')?.textContent ?? ''
    void navigator.clipboard.writeText(code.replace(/\n$/, '')).then(() => {
      button.textContent = labels.copied
      setTimeout(() => (button.textContent = labels.copy), 1500)
    })
  })
  caption.append(button)
}

function upgradeCode(figure: HTMLElement, labels: Labels): void {
  addCopy(figure, labels)
  const language = (figure.dataset['lang'] ?? '').toLowerCase()
  const code = figure.querySelector('code')
  if (!language || !code || code.textContent.length > LONGEST_CODE) return
  void import('./highlight').then(({ highlight }) => {
    const html = highlight(code.textContent, language)
    if (html !== null) code.innerHTML = html
  })
}

async function drawAll(formulas: readonly HTMLElement[]): Promise<void> {
  const { drawFormula } = await import('./formula')
  for (const holder of formulas) {
    holder.dataset['drawn'] = drawFormula(holder, holder.classList.contains('display')) ? 'yes' : 'failed'
  }
}

/** Boxes that scroll sideways can be reached and named by keyboard; the others must not be a stop. */
function reachable(boxes: Iterable<HTMLElement>, labels: Labels): void {
  const wide = [...boxes].filter((box) => box.scrollWidth > box.clientWidth + 1)
  for (const box of wide) {
    box.tabIndex = 0
    box.setAttribute('role', 'group')
    box.setAttribute('aria-label', box.classList.contains('table') ? labels.table : labels.code)
  }
}
