/* Splits a text into top-level blocks of HTML; while it grows, only its last block is parsed again. */

import type { MarkdownIt, Token } from 'markdown-it'
import { heal } from './heal'
import type { MarkdownEnv } from './math'
import { makeParser } from './parser'

/** One top-level block. `open`: more text may still change it, so nothing expensive is drawn in it. */
export interface Block {
  readonly html: string
  readonly open: boolean
}

let shared: MarkdownIt | undefined

function parser(): MarkdownIt {
  shared ??= makeParser()
  return shared
}

/** The blocks of one growing text. A text that is not a continuation of the last one is parsed afresh. */
export class BlockParser {
  #source = ''
  #settled: Block[] = []
  #settledLength = 0
  #env: MarkdownEnv

  /** `docId` makes the ids of footnotes unique on the page. */
  constructor(private readonly docId: string) {
    this.#env = { docId }
  }

  /** All blocks of `source`; a finished text is parsed whole, so that later references reach earlier blocks. */
  update(source: string, streaming: boolean): Block[] {
    if (!streaming) {
      this.#reset()
      return group(parser(), stripThought(source), { docId: this.docId }).map(({ html }) => ({ html, open: false }))
    }
    if (!source.startsWith(this.#source)) this.#reset()
    this.#source = source
    const tail = source.slice(this.#settledLength)
    this.#env.streaming = true
    const parsed = group(parser(), heal(this.#settledLength ? tail : stripThought(tail)), this.#env)
    const blocks = [...this.#settled, ...parsed.map(({ html }, index) => ({ html, open: index === parsed.length - 1 }))]
    const last = parsed.at(-1)
    // Footnotes gather at the end of a parse: such a text waits for its last parse to settle.
    const gathers = parsed.some(({ type }) => type === 'footnote_block_open')
    if (parsed.length > 1 && last && !gathers && !tail.startsWith('<think')) {
      this.#settled = blocks.slice(0, -1).map(({ html }) => ({ html, open: false }))
      this.#settledLength += offsetOfLine(tail, last.line)
    }
    return blocks
  }

  #reset(): void {
    this.#source = ''
    this.#settled = []
    this.#settledLength = 0
    this.#env = { docId: this.docId }
  }
}

/** Thinking that a model wrote into its answer is never shown as the answer. */
function stripThought(source: string): string {
  return source.replace(/^\s*<think(?:ing)?>[\s\S]*?(?:<\/think(?:ing)?>\s*|$)/i, '')
}

interface Parsed {
  html: string
  line: number
  type: string
}

function group(md: MarkdownIt, source: string, env: MarkdownEnv): Parsed[] {
  const tokens = md.parse(source, env)
  const blocks: Parsed[] = []
  let from = 0
  let depth = 0
  tokens.forEach((token: Token, index: number) => {
    depth += token.nesting
    if (depth !== 0) return
    const slice = tokens.slice(from, index + 1)
    const html = md.renderer.render(slice, md.options, env)
    if (html.trim()) blocks.push({ html, line: slice[0]?.map?.[0] ?? 0, type: slice[0]?.type ?? '' })
    from = index + 1
  })
  return blocks
}

function offsetOfLine(text: string, line: number): number {
  let offset = 0
  for (let count = 0; count < line; count += 1) {
    const next = text.indexOf('\n', offset)
    if (next === -1) return text.length
    offset = next + 1
  }
  return offset
}
