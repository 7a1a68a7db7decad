import { describe, expect, it } from 'vitest'
import { format, matchLocale } from './messages'

const english = { hello: 'Hello {name}', words: { one: '{count} word', other: '{count} words' } }
const chinese = { words: { other: '{count} 个词' } }

describe('texts', () => {
  it('fill in parameters and leave unknown ones visible', () => {
    expect(format(english, 'en', 'hello', { name: 'Mei' })).toBe('Hello Mei')
    expect(format(english, 'en', 'hello')).toBe('Hello {name}')
  })

  it.each([
    [english, 'en', 1, '1 word'],
    [english, 'en', 0, '0 words'],
    [english, 'en', 1234, '1,234 words'],
    [chinese, 'zh-CN', 1, '1 个词'],
  ])('choose the plural form', (catalogue, locale, count, expected) => {
    expect(format(catalogue, locale, 'words', { count })).toBe(expected)
  })

  it('show the key of a missing text', () => {
    expect(format({}, 'en', 'web.nothing')).toBe('web.nothing')
  })
})

describe('the locale', () => {
  it.each([
    [['zh-CN'], 'zh-CN'],
    [['zh-Hans-SG', 'en'], 'zh-CN'],
    [['fr', 'zh'], 'zh-CN'],
    [['fr'], 'en'],
    [[], 'en'],
  ])('for %j is %s', (wishes, expected) => {
    expect(matchLocale(['en', 'zh-CN'], wishes)).toBe(expected)
  })
})
