import { describe, expect, it } from 'vitest'
import { heal } from './heal'

describe('a tail that is still arriving', () => {
  it.each([
    ['closes emphasis', 'This is **bo', 'This is **bo**'],
    ['closes emphasis before its trailing space', 'This is **bold ', 'This is **bold**'],
    ['waits with an opener that has no text yet', 'This is **', 'This is '],
    ['drops half a closer', 'This is **bold*', 'This is **bold**'],
    ['leaves finished emphasis alone', '**a** and *b* done', '**a** and *b* done'],
    ['closes nested emphasis in order', '*a **b', '*a **b***'],
    ['closes inline code', 'Run `npm ci', 'Run `npm ci`'],
    ['waits with a lone backtick', 'Run `', 'Run '],
    ['sees no emphasis inside code', 'Run `a ** b` now', 'Run `a ** b` now'],
    ['leaves a product of numbers alone', '2 * 3 and 4', '2 * 3 and 4'],
    ['leaves snake_case words alone', 'the snake_case name', 'the snake_case name'],
    ['shows the text of a link whose address arrives', 'See [the docs](https://exa', 'See the docs'],
    ['holds back the label of a link', 'See [the do', 'See '],
    ['lets a long bracket be a bracket', `See [${'x'.repeat(60)}`, `See [${'x'.repeat(60)}`],
    ['holds back half a picture', 'See ![a chart](data:im', 'See '],
    ['holds back an open formula', 'so $x^2 + ', 'so '],
    ['lets a price be a price', 'It costs $5 and', 'It costs $5 and'],
    ['holds back an open display formula', 'so \\[ \\frac{1}', 'so '],
    ['holds back half a tag', 'a line<b', 'a line'],
    ['keeps a comparison', 'a < b', 'a < b'],
    ['waits with a heading underline', 'Title\n--', 'Title\n'],
    ['waits with a list marker', 'text\n- ', 'text\n'],
    ['waits with a number marker', 'text\n1.', 'text\n'],
    ['waits with half a fence', 'text\n\n``', 'text\n\n'],
    ['keeps an open fence', '```py\nx = "**', '```py\nx = "**'],
    ['drops half a closing fence', '```py\nx = 1\n``', '```py\nx = 1\n'],
    ['waits with a table head until its rule has come', 'text\n\n| a | b |\n| --', 'text\n'],
    ['waits with half a table row', '| a | b |\n| - | - |\n| 1 |', '| a | b |\n| - | - |\n'],
    ['leaves earlier items alone', '- a ** b\n- c **d', '- a ** b\n- c **d**'],
  ])('%s', (_name, source, shown) => {
    expect(heal(source)).toBe(shown)
  })

  it('ends in reasonable time on hostile runs', () => {
    const started = performance.now()
    for (const bomb of ['*'.repeat(20_000), '['.repeat(20_000), '$'.repeat(20_000), '`a'.repeat(10_000), '**a '.repeat(8000)]) heal(bomb)
    expect(performance.now() - started).toBeLessThan(1500)
  })
})
