/* The second wall: whatever the parser let through is reduced to a short list of tags and attributes. */

import DOMPurify from 'dompurify'

const TAGS = [
  'a', 'abbr', 'b', 'blockquote', 'br', 'code', 'del', 'details', 'div', 'em', 'figcaption', 'figure', 'h3', 'h4', 'h5',
  'h6', 'hr', 'i', 'img', 'input', 'ins', 'kbd', 'label', 'li', 'mark', 'ol', 'p', 'pre', 's', 'section', 'small', 'span',
  'strong', 'sub', 'summary', 'sup', 'table', 'tbody', 'td', 'th', 'thead', 'tr', 'u', 'ul',
] // prettier-ignore

const ATTRIBUTES = [
  'alt', 'checked', 'class', 'data-lang', 'dir', 'disabled', 'href', 'id', 'loading', 'open', 'referrerpolicy', 'rel',
  'src', 'start', 'target', 'title', 'type',
] // prettier-ignore

/** Nodes of our own HTML, without anything that is not on the lists. */
export function clean(html: string): DocumentFragment {
  return DOMPurify.sanitize(html, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
  })
}
