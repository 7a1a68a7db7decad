/* The Markdown parser: markdown-it with our rules for links, pictures, code, tables, tasks and headings. */

import MarkdownItClass, { type MarkdownIt, type StateCore, type Token } from 'markdown-it'
import cjk from 'markdown-it-cjk-friendly'
import footnote from 'markdown-it-footnote'
import { math } from './math'
import { tags } from './tags'

const LINK = /^(?:https?:\/\/|mailto:|tel:|\/(?![/\\])|#)/i
const PICTURE = /^data:image\/(?:png|jpeg|gif|webp|avif);base64,/i

export const REL = 'noopener noreferrer nofollow ugc'

/** The language of a fence, reduced to what can stand in an attribute. */
export function fenceLanguage(info: string): string {
  return /^[\w+#.-]{1,24}(?=\s|$|\{|:)/.exec(info.trim())?.[0] ?? ''
}

function hostOf(address: string): string {
  try {
    return new URL(address).host
  } catch {
    return ''
  }
}

function headingsDown(state: StateCore): void {
  for (const token of state.tokens) {
    if (token.type !== 'heading_open' && token.type !== 'heading_close') continue
    const level = Number(token.tag.slice(1))
    if (token.nesting === 1) token.attrJoin('class', `h${level}`)
    token.tag = `h${Math.min(level + 2, 6)}`
  }
}

function taskLists(state: StateCore): void {
  const { tokens } = state
  for (let index = 2; index < tokens.length; index += 1) {
    const inline = tokens[index]
    const item = tokens[index - 2]
    if (inline?.type !== 'inline' || item?.type !== 'list_item_open') continue
    const first = inline.children?.[0]
    const match = first?.type === 'text' ? /^\[([ xX])\]\s+/.exec(first.content) : null
    if (!first || !match) continue
    first.content = first.content.slice(match[0].length)
    const box = new state.Token('tag', '', 0)
    box.content = `<label><input type="checkbox" disabled${match[1] === ' ' ? '' : ' checked'}> `
    const end = new state.Token('tag', '', 0)
    end.content = '</label>'
    inline.children = [box, ...(inline.children ?? []), end]
    item.attrJoin('class', 'task')
  }
}

function directions(state: StateCore): void {
  const own = new Set(['paragraph_open', 'heading_open', 'bullet_list_open', 'ordered_list_open', 'th_open', 'td_open'])
  for (const token of state.tokens) if (own.has(token.type)) token.attrSet('dir', 'auto')
}

function links(md: MarkdownIt): void {
  md.validateLink = (address) => LINK.test(address.trim()) || PICTURE.test(address.trim())
  md.linkify.set({ fuzzyLink: false, fuzzyEmail: false, fuzzyIP: false })
  md.renderer.rules['link_open'] = (tokens, index, options, _env, self) => {
    const token = tokens[index]
    const address = String(token?.attrGet('href') ?? '')
    if (token && /^https?:/i.test(address)) {
      token.attrSet('target', '_blank')
      token.attrSet('rel', REL)
      if (misleads(tokens, index, address)) token.attrSet('class', 'misleading')
      token.attrSet('title', hostOf(address))
    } else if (token && PICTURE.test(address)) {
      token.attrs = null
    }
    return self.renderToken(tokens, index, options)
  }
}

/** The text of the link looks like an address of another host. */
function misleads(tokens: readonly Token[], index: number, address: string): boolean {
  let text = ''
  for (let at = index + 1; tokens[at] && tokens[at]?.type !== 'link_close'; at += 1) text += tokens[at]?.content ?? ''
  const shown = /^\s*(?:https?:\/\/)?((?:[\w-]+\.)+[a-z]{2,})(?:[/:?#]|\s*$)/i.exec(text)?.[1]
  return shown !== undefined && shown.toLowerCase() !== hostOf(address).toLowerCase().replace(/:\d+$/, '')
}

function pictures(md: MarkdownIt): void {
  const escape = md.utils.escapeHtml
  // A picture elsewhere would tell its host who reads and when: it is a link until somebody asks for it.
  md.renderer.rules['image'] = (tokens, index, options, env, self) => {
    const token = tokens[index]
    if (!token) return ''
    const address = String(token.attrGet('src') ?? '')
    const caption = self.renderInlineAsText(token.children ?? [], options, env)
    if (PICTURE.test(address) || address.startsWith('/')) {
      return `<img src="${escape(address)}" alt="${escape(caption)}" loading="lazy" referrerpolicy="no-referrer">`
    }
    const label = [caption, hostOf(address)].filter(Boolean).join(' · ')
    return `<a class="picture" href="${escape(address)}" target="_blank" rel="${REL}">${escape(label)}</a>`
  }
}

function code(md: MarkdownIt): void {
  const escape = md.utils.escapeHtml
  const holder = (content: string, info: string) => {
    const language = fenceLanguage(info)
    return (
      `<figure class="code" data-lang="${escape(language)}" dir="ltr"><figcaption>${escape(language || 'text')}</figcaption>` +
      `<pre><code>${escape(content)}</code></pre></figure>\n`
    )
  }
  md.renderer.rules['fence'] = (tokens, index) => holder(tokens[index]?.content ?? '', tokens[index]?.info ?? '')
  md.renderer.rules['code_block'] = (tokens, index) => holder(tokens[index]?.content ?? '', '')
}

function tables(md: MarkdownIt): void {
  md.renderer.rules['table_open'] = () => '<div class="table"><table>\n'
  md.renderer.rules['table_close'] = () => '</table></div>\n'
  for (const rule of ['th_open', 'td_open']) {
    md.renderer.rules[rule] = (tokens, index, options, _env, self) => {
      const token = tokens[index]
      const align = /text-align:\s*(left|center|right)/.exec(String(token?.attrGet('style') ?? ''))?.[1]
      if (token?.attrs) token.attrs = token.attrs.filter(([name]) => name !== 'style')
      if (token && align) token.attrJoin('class', `to-${align}`)
      return self.renderToken(tokens, index, options)
    }
  }
}

/** A parser with all our rules; stateless between texts, so one serves the page. */
export function makeParser(): MarkdownIt {
  const md = MarkdownItClass({ html: false, linkify: true, breaks: false, maxNesting: 60 })
  md.use(cjk).use(footnote).use(math).use(tags).use(links).use(pictures).use(code).use(tables)
  md.core.ruler.push('headings_down', headingsDown)
  md.core.ruler.push('task_lists', taskLists)
  md.core.ruler.push('directions', directions)
  return md
}
