/* The words of one locale: placeholders, plurals, fallback. Pure; the reactive part is i18n.svelte.ts. */

export type Entry = string | Readonly<Record<string, string>>
export type Catalogue = Readonly<Record<string, Entry>>
export type Params = Readonly<Record<string, string | number>>

const rules = new Map<string, Intl.PluralRules>()

/** The text of `key` with `{name}` filled in; a plural entry is chosen by the parameter `count`. */
export function format(catalogue: Catalogue, locale: string, key: string, params: Params = {}): string {
  const entry = catalogue[key]
  if (entry === undefined) return key
  const text = typeof entry === 'string' ? entry : plural(entry, locale, params)
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = params[name]
    if (value === undefined) return whole
    return typeof value === 'number' ? value.toLocaleString(locale) : value
  })
}

function plural(entry: Readonly<Record<string, string>>, locale: string, params: Params): string {
  const count = Number(params['count'] ?? params['n'] ?? 0)
  let rule = rules.get(locale)
  if (!rule) rules.set(locale, (rule = new Intl.PluralRules(locale)))
  return entry[rule.select(count)] ?? entry['other'] ?? Object.values(entry)[0] ?? ''
}

/** The first of `known` that a wish of the reader means: the same tag, else the same language. */
export function matchLocale(known: readonly string[], wishes: readonly string[]): string {
  for (const wish of wishes) {
    const wanted = wish.toLowerCase()
    const same = known.find((locale) => locale.toLowerCase() === wanted)
    const kin = known.find((locale) => locale.toLowerCase().split('-')[0] === wanted.split('-')[0])
    if (same ?? kin) return same ?? kin ?? ''
  }
  return known[0] ?? 'en'
}
