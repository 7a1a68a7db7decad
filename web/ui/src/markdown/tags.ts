/* The few HTML tags a text may use. Raw HTML is off in the parser: any other `<` is text and meets no HTML parser. */

import type { MarkdownIt, StateBlock, StateInline } from 'markdown-it'

const INLINE = /<(\/?)(br|sub|sup|kbd|mark|u|s|del|ins|small|b|i|strong|em|abbr)\s*(\/?)>/iy
const THOUGHT = /<\/?think(?:ing)?>/iy

function inlineTag(state: StateInline, silent: boolean): boolean {
  if (state.src.charCodeAt(state.pos) !== 0x3c) return false
  THOUGHT.lastIndex = state.pos
  if (THOUGHT.test(state.src)) {
    state.pos = THOUGHT.lastIndex
    return true
  }
  INLINE.lastIndex = state.pos
  const match = INLINE.exec(state.src)
  if (!match) return false
  const [whole, slash, name = ''] = match
  if (!silent) state.push('tag', '', 0).content = `<${slash}${name.toLowerCase()}>`
  state.pos += whole.length
  return true
}

function details(state: StateBlock, startLine: number, endLine: number, silent: boolean): boolean {
  const lineOf = (line: number) =>
    state.src.slice((state.bMarks[line] ?? 0) + (state.tShift[line] ?? 0), state.eMarks[line] ?? 0).trim()
  const opening = /^<details(\s+open)?>(.*)$/i.exec(lineOf(startLine))
  if (!opening) return false
  if (silent) return true
  let depth = 1
  let last = startLine
  while (depth > 0 && last + 1 < endLine) {
    last += 1
    const line = lineOf(last)
    if (/^<details(\s+open)?>/i.test(line)) depth += 1
    else if (/<\/details>$/i.test(line)) depth -= 1
  }
  const closed = depth === 0
  let bodyStart = startLine + 1
  let summary = opening[2] ?? ''
  if (!summary.trim() && bodyStart < last && /^<summary>/i.test(lineOf(bodyStart))) {
    summary = lineOf(bodyStart)
    bodyStart += 1
  }
  const caption = /^<summary>(.*?)(?:<\/summary>)?$/i.exec(summary.trim())?.[1] ?? ''

  const open = state.push('details_open', 'details', 1)
  open.map = [startLine, last + 1]
  if (opening[1]) open.attrSet('open', '')
  state.push('summary_open', 'summary', 1)
  const inline = state.push('inline', '', 0)
  inline.content = caption || '…'
  inline.children = []
  inline.map = [startLine, bodyStart]
  state.push('summary_close', 'summary', -1)
  const lineMax = state.lineMax
  const parent = state.parentType
  const bodyEnd = closed ? last : last + 1
  state.lineMax = bodyEnd
  state.md.block.tokenize(state, Math.min(bodyStart, bodyEnd), bodyEnd)
  state.lineMax = lineMax
  state.parentType = parent
  state.push('details_close', 'details', -1)
  state.line = last + 1
  return true
}

/** Admits the inline tags and folded sections, and swallows stray thinking tags. */
export function tags(md: MarkdownIt): void {
  md.inline.ruler.before('autolink', 'tag', inlineTag)
  md.block.ruler.before('fence', 'details', details, { alt: ['paragraph', 'reference', 'blockquote', 'list'] })
  md.renderer.rules['tag'] = (tokens, index) => tokens[index]?.content ?? ''
}
