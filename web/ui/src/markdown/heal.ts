/* Heals the tail of a text that is still arriving, so that half a construct is not flashed as raw signs. */

const MARKER = /^\s*(?:[-+*]\s|\d{1,9}[.)]\s|#{1,6}\s|>|\|)/
const HOLD = 40
const HOLD_FORMULA = 400

/** The text as it should be shown now; only its end differs from what arrived. Never needed for a finished text. */
export function heal(source: string): string {
  if (inFence(source)) return source.replace(/\n[ \t>]*(?:`+|~+)$/, '\n')
  const text = dropHalfLine(source)
  const start = lastInlineStart(text)
  return text.slice(0, start) + healInline(text.slice(start))
}

function inFence(text: string): boolean {
  let open: { char: string; length: number } | null = null
  for (const line of text.split('\n')) {
    const match = /^[\s>]*(?:(?:[-+*]|\d{1,9}[.)])\s+)?(`{3,}|~{3,})(.*)$/.exec(line)
    const run = match?.[1]
    if (!match || !run) continue
    if (!open) {
      if (!(run[0] === '`' && match[2]?.includes('`'))) open = { char: run[0] ?? '', length: run.length }
    } else if (run[0] === open.char && run.length >= open.length && !match[2]?.trim()) {
      open = null
    }
  }
  return open !== null
}

/** A line that could still become a marker, a heading's underline, a fence or a table row waits for its end. */
function dropHalfLine(text: string): string {
  const at = text.lastIndexOf('\n') + 1
  const line = text.slice(at)
  let kept = text
  if (/^\s*(?:[-+*=#>_~`]{1,6}|\d{1,9}[.)])\s*$/.test(line) || /^\s*\|/.test(line)) kept = text.slice(0, at)
  const lines = kept.trimEnd().split('\n')
  const last = lines.at(-1) ?? ''
  const isLoneRow = /^\s*\|/.test(last) && !/^\s*\|/.test(lines.at(-2) ?? '')
  return isLoneRow ? lines.slice(0, -1).join('\n') : kept
}

/** Emphasis and links end with their paragraph, item, row or heading: nothing before that needs a look. */
function lastInlineStart(text: string): number {
  let start = 0
  let offset = 0
  for (const line of text.split('\n')) {
    if (!line.trim()) start = offset + line.length + 1
    else if (MARKER.test(line)) start = offset
    offset += line.length + 1
  }
  return Math.min(start, text.length)
}

function healInline(text: string): string {
  const open: string[] = []
  let at = 0
  while (at < text.length) {
    const char = text[at] ?? ''
    if (char === '\\') {
      const math = text[at + 1] === '(' ? '\\)' : text[at + 1] === '[' ? '\\]' : ''
      if (math) {
        const end = text.indexOf(math, at + 2)
        if (end === -1 && text.length - at <= HOLD_FORMULA) return close(text.slice(0, at), open)
        at = end === -1 ? at + 2 : end + 2
      } else {
        at += 2
      }
    } else if (char === '`') {
      const run = /^`+/.exec(text.slice(at))?.[0] ?? '`'
      const end = findRun(text, at + run.length, run)
      if (end === -1) {
        const inside = text.slice(at + run.length).replace(/`+$/, '')
        return close(text.slice(0, at) + (inside.trim() ? run + inside + run : ''), open)
      }
      at = end + run.length
    } else if (char === '$') {
      const run = text[at + 1] === '$' ? '$$' : '$'
      const next = text[at + run.length] ?? ''
      const end = text.indexOf(run, at + run.length + 1)
      if (end !== -1 && (run === '$$' || !/\s/.test(next))) {
        at = end + run.length
      } else if (run === '$$' ? text.length - at <= HOLD_FORMULA : text.length - at <= HOLD && !/[\s\d]/.test(next)) {
        return close(text.slice(0, at), open)
      } else {
        at += run.length
      }
    } else if (char === '*' || char === '_' || char === '~') {
      const run = /^(?:\*+|_+|~+)/.exec(text.slice(at))?.[0] ?? char
      const result = emphasis(text, at, run, open)
      if (result === 'cut') return close(text.slice(0, at), open)
      at += run.length
    } else if (char === '[') {
      const picture = text[at - 1] === '!'
      const label = text.indexOf(']', at)
      if (label === -1) {
        if (text.length - at > HOLD) at += 1
        else return close(text.slice(0, picture ? at - 1 : at), open)
      } else if (text[label + 1] === '(' && text.indexOf(')', label) === -1) {
        return close(text.slice(0, picture ? at - 1 : at) + (picture ? '' : text.slice(at + 1, label)), open)
      } else {
        at += 1
      }
    } else if (char === '<' && /^<\/?[a-z]{0,8}$/i.test(text.slice(at))) {
      return close(text.slice(0, at), open)
    } else {
      at += 1
    }
  }
  return close(text, open)
}

function findRun(text: string, from: number, run: string): number {
  for (let at = text.indexOf(run, from); at !== -1; at = text.indexOf(run, at + 1)) {
    const longer = text[at + run.length] === '`' || text[at - 1] === '`'
    if (!longer) return at
  }
  return -1
}

function emphasis(text: string, at: number, run: string, open: string[]): 'cut' | 'on' {
  const before = text[at - 1] ?? ' '
  const after = text[at + run.length]
  const isMark = run[0] === '~' ? run === '~~' : run.length <= 3
  if (!isMark) return after === undefined && run[0] === '~' ? 'cut' : 'on'
  const canClose = !/\s/.test(before)
  if (canClose && open.at(-1) === run) {
    open.pop()
    return 'on'
  }
  if (canClose && run.length === 3 && open.at(-1) && open.at(-2) && open.join('').length === 3) {
    open.length = 0
    return 'on'
  }
  if (after === undefined) return 'cut'
  const insideWord = run[0] === '_' && /[\p{L}\p{N}]/u.test(before)
  if (!/\s/.test(after) && !insideWord) open.push(run)
  return 'on'
}

function close(text: string, open: readonly string[]): string {
  if (!open.length) return text
  let trimmed = text.trimEnd()
  const left = [...open]
  // An opener with nothing behind it yet would show as signs: it waits.
  while (left.length && trimmed.endsWith(left.at(-1) ?? '')) {
    trimmed = trimmed.slice(0, -(left.pop() ?? '').length).trimEnd()
  }
  return trimmed + left.reverse().join('')
}
