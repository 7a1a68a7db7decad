/* Shows Markdown in an element: one exported class turns a growing text into DOM and touches only what changed. */

import { BlockParser, type Block } from './blocks'
import { clean } from './clean'
import { addCopy, upgrade, type Labels } from './upgrade'

/** How long the next commit may wait, in ms: long texts are shown in fewer, larger steps. */
export function commitDelay(length: number): number {
  if (length > 20_000) return 120
  return length > 5_000 ? 60 : 0
}

/** The blocks of one message below `root`, which belongs to this view alone. */
export class MarkdownView {
  readonly #parser: BlockParser
  #shown: Block[] = []

  constructor(
    private readonly root: HTMLElement,
    docId: string,
    private readonly labels: Labels,
  ) {
    this.#parser = new BlockParser(docId)
  }

  /** Brings the DOM to `source`; blocks whose HTML is unchanged keep their nodes, selection and drawn formulas. */
  update(source: string, streaming: boolean): void {
    const blocks = this.#parser.update(source, streaming)
    blocks.forEach((block, index) => {
      const before = this.#shown[index]
      let holder = this.root.children[index] as HTMLElement | undefined
      if (!holder) {
        holder = document.createElement('div')
        holder.className = 'block'
        this.root.append(holder)
      }
      const changed = before?.html !== block.html
      if (changed) holder.replaceChildren(clean(block.html))
      if (!block.open && (changed || before?.open)) upgrade(holder, this.labels)
      else if (changed) for (const figure of holder.querySelectorAll<HTMLElement>('figure.code')) addCopy(figure, this.labels)
    })
    while (this.root.children.length > blocks.length) this.root.lastElementChild?.remove()
    this.#shown = blocks
  }
}
