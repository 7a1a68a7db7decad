/* Formulas: finds `$…$`, `$$…$$`, `\(…\)` and `\[…\]`; drawing them is upgrade.ts's work. */

import type { Env, MarkdownIt, StateBlock, StateInline } from 'markdown-it'

/** What markdown-it's `env` carries for us. */
export interface MarkdownEnv extends Env {
  /** The text is still arriving: an unclosed formula is pending, not text. */
  streaming?: boolean
  /** Prefix of the ids of footnotes, one per message. */
  docId?: string
}

const DOLLAR = 0x24
const BACKSLASH = 0x5c

/** Where no closer follows any more, by delimiter; without it a run of dollars costs quadratic time. */
const exhausted = new WeakMap<StateInline, Map<string, number>>()

function findCloser(state: StateInline, from: number, closer: string, valid: (at: number) => boolean): number {
  const known = exhausted.get(state) ?? new Map<string, number>()
  exhausted.set(state, known)
  const dry = known.get(closer)
  if (dry !== undefined && from >= dry) return -1
  for (let at = state.src.indexOf(closer, from); at !== -1; at = state.src.indexOf(closer, at + 1)) {
    if (at + closer.length > state.posMax) break
    if (isEscaped(state.src, at) && closer.startsWith('$')) continue
    if (valid(at)) return at
  }
  known.set(closer, from)
  return -1
}

function isEscaped(text: string, at: number): boolean {
  let count = 0
  while (at - count - 1 >= 0 && text.charCodeAt(at - count - 1) === BACKSLASH) count += 1
  return count % 2 === 1
}

function isSpace(char: string | undefined): boolean {
  return char === undefined || /\s/.test(char)
}

function inlineMath(state: StateInline, silent: boolean): boolean {
  const { src, pos } = state
  const first = src.charCodeAt(pos)
  let opener: string
  let closer: string
  if (first === DOLLAR) {
    opener = closer = src.charCodeAt(pos + 1) === DOLLAR ? '$$' : '$'
  } else if (first === BACKSLASH && (src[pos + 1] === '(' || src[pos + 1] === '[')) {
    opener = src.slice(pos, pos + 2)
    closer = opener === '\\(' ? '\\)' : '\\]'
  } else {
    return false
  }
  const start = pos + opener.length
  const single = opener === '$'
  // Pandoc's rule keeps prices out: text touches both dollars, and no digit follows the second.
  if (single && isSpace(src[start])) return false
  const end = findCloser(state, start + 1, closer, (at) =>
    single ? !isSpace(src[at - 1]) && !/\d/.test(src[at + 1] ?? '') : true,
  )
  if (end === -1) return false
  const tex = src.slice(start, end)
  if (single && tex.includes('`')) return false
  if (!silent) {
    const token = state.push('math_inline', '', 0)
    token.content = tex.trim()
    token.markup = opener
    token.info = opener === '$' || opener === '\\(' ? 'inline' : 'display'
  }
  state.pos = end + closer.length
  return true
}

function blockMath(state: StateBlock, startLine: number, endLine: number, silent: boolean): boolean {
  const lineOf = (line: number) =>
    state.src.slice((state.bMarks[line] ?? 0) + (state.tShift[line] ?? 0), state.eMarks[line] ?? 0)
  const firstLine = lineOf(startLine)
  const opener = firstLine.startsWith('$$') ? '$$' : firstLine.startsWith('\\[') ? '\\[' : ''
  if (!opener) return false
  const closer = opener === '$$' ? '$$' : '\\]'
  const body: string[] = []
  let line = startLine
  let rest = firstLine.slice(2)
  for (;;) {
    const close = rest.indexOf(closer)
    if (close !== -1) {
      // Words after the closer: this is a formula within a sentence, so the inline rule takes it.
      if (rest.slice(close + 2).trim()) return false
      body.push(rest.slice(0, close))
      break
    }
    body.push(rest)
    line += 1
    if (line >= endLine || (state.sCount[line] ?? 0) < state.blkIndent) {
      if (!(state.env as MarkdownEnv).streaming || body.join('').length > 4000) return false
      body.push('')
      line = Math.min(line, endLine) - 1
      if (silent) return true
      push('math_pending')
      return true
    }
    rest = lineOf(line)
  }
  if (!silent) push('math_block')
  return true

  function push(type: string) {
    const token = state.push(type, '', 0)
    token.block = true
    token.content = body.join('\n').trim()
    token.map = [startLine, line + 1]
    token.markup = opener
    state.line = line + 1
  }
}

/** The rules and how their tokens look before a formula is drawn: the source as text. */
export function math(md: MarkdownIt): void {
  const escape = md.utils.escapeHtml
  md.inline.ruler.before('escape', 'math_inline', inlineMath)
  md.block.ruler.before('fence', 'math_block', blockMath, { alt: ['paragraph', 'reference', 'blockquote', 'list'] })
  md.renderer.rules['math_inline'] = (tokens, index) => {
    const token = tokens[index]
    return token ? `<span class="math ${token.info}" dir="ltr">${escape(token.content)}</span>` : ''
  }
  md.renderer.rules['math_block'] = (tokens, index) =>
    `<div class="math display" dir="ltr">${escape(tokens[index]?.content ?? '')}</div>`
  md.renderer.rules['math_pending'] = (tokens, index) =>
    `<div class="math-pending" dir="ltr">${escape(tokens[index]?.content ?? '')}</div>`
}
