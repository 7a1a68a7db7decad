import { describe, expect, it } from 'vitest'
import { BlockParser } from './blocks'
import { fenceLanguage } from './parser'

const whole = (source: string) =>
  new BlockParser('m1')
    .update(source, false)
    .map(({ html }) => html)
    .join('')

const SAMPLE = `# Title

A paragraph with **bold**, \`code\` and a formula $a^2 + b^2 = c^2$.

- one
- two **deep**
  - three

1. [ ] open
2. [x] done

| left | right |
| :--- | ----: |
| 1 | 2 |

\`\`\`python
def f(x):
    return x ** 2

print(f(3))
\`\`\`

$$
\\int_0^1 x\\,dx
$$

> quoted
> text

<details><summary>More</summary>

Hidden **words**.

</details>

Last line with a note[^1].

[^1]: The note.
`

describe('blocks of a text', () => {
  it('end the same whether the text came at once or letter by letter', () => {
    const parser = new BlockParser('m1')
    for (let length = 1; length <= SAMPLE.length; length += 1) parser.update(SAMPLE.slice(0, length), true)
    const streamed = parser.update(SAMPLE, false).map(({ html }) => html)
    expect(streamed.join('')).toBe(whole(SAMPLE))
  })

  it('settle while the text grows: what is not last does not change any more', () => {
    const parser = new BlockParser('m1')
    const source = SAMPLE.slice(0, SAMPLE.indexOf('Last line'))
    const final = new BlockParser('m1').update(source, false).map(({ html }) => html)
    for (let length = 1; length <= source.length; length += 1) {
      const blocks = parser.update(source.slice(0, length), true)
      blocks.slice(0, -1).forEach((block, index) => {
        expect(block.open).toBe(false)
        expect(block.html).toBe(final[index])
      })
    }
  })

  it('start afresh when the text is replaced', () => {
    const parser = new BlockParser('m1')
    parser.update('one\n\ntwo\n\nthree', true)
    expect(parser.update('four', true).map(({ html }) => html.trim())).toEqual(['<p dir="auto">four</p>'])
  })

  it('keep an unclosed fence as code', () => {
    const [block] = new BlockParser('m1').update('```js\nlet a', true)
    expect(block?.html).toContain('data-lang="js"')
    expect(block?.html).toContain('let a')
    expect(block?.open).toBe(true)
  })
})

describe('Markdown', () => {
  it.each([
    ['moves headings down', '# Big', '<h3 class="h1" dir="auto">Big</h3>'],
    ['keeps raw HTML as text', '<script>alert(1)</script>', '&lt;script&gt;alert(1)&lt;/script&gt;'],
    ['admits a few tags without attributes', 'H<sub>2</sub>O<br>x', 'H<sub>2</sub>O<br>x'],
    ['refuses attributes on them', '<b onclick="x()">a</b>', '&lt;b onclick='],
    ['refuses script addresses', '[a](javascript:alert(1))', '[a](javascript:alert(1))'],
    ['marks outside links', '[a](https://example.org/)', 'rel="noopener noreferrer nofollow ugc"'],
    ['marks a link that shows another host', '[bank.example](https://evil.example/)', 'class="misleading"'],
    ['never loads a picture of another host', '![cat](https://img.example/c.png)', '<a class="picture"'],
    ['ticks tasks', '- [x] done', '<input type="checkbox" disabled checked>'],
    ['aligns cells by class', '| a |\n| -: |\n| 1 |', 'class="to-right"'],
    ['leaves prices alone', 'from $5 to $10', 'from $5 to $10'],
    ['finds formulas', 'so $x$.', '<span class="math inline" dir="ltr">x</span>'],
    ['finds display formulas', '\\[\nx\n\\]', '<div class="math display" dir="ltr">x</div>'],
    ['finds display formulas within a line', 'so $$x$$ holds', '<span class="math display" dir="ltr">x</span>'],
    ['bolds next to Chinese punctuation', '这是**“重点”**内容', '<strong>“重点”</strong>'],
    ['swallows thinking tags', '<think>secret</think>\n\nHello', '<p dir="auto">Hello</p>'],
    ['folds details', '<details><summary>S</summary>\n\nBody\n\n</details>', '<details>\n<summary>S</summary>'],
    ['links bare addresses', 'see https://example.org/a.', 'href="https://example.org/a"'],
    ['does not link file names', 'open main.py', 'open main.py'],
  ])('%s', (_name, source, expected) => {
    expect(whole(source)).toContain(expected)
  })

  it('shows nothing of an unfinished thought', () => {
    expect(new BlockParser('m1').update('<think>let me see', true)).toEqual([])
  })

  it('gives footnotes ids of their message', () => {
    expect(whole('a[^1]\n\n[^1]: b')).toContain('id="fn-m1-1"')
  })

  it.each([
    ['python', 'python'],
    ['c++ title="x"', 'c++'],
    ['js{1,2}', 'js'],
    ['"><img src=x>', ''],
  ])('reduces the fence word %s to %s', (info, expected) => {
    expect(fenceLanguage(info)).toBe(expected)
  })

  it('survives bombs within two seconds', () => {
    const started = performance.now()
    const bombs = ['['.repeat(20_000), '> '.repeat(5000) + 'x', '*a '.repeat(10_000), '$a '.repeat(20_000), '\\(a '.repeat(20_000), '<b>'.repeat(20_000), '<details>\n'.repeat(2000), '- '.repeat(3000) + 'x']
    for (const bomb of bombs) {
      const one = performance.now()
      whole(bomb)
      expect(performance.now() - one, bomb.slice(0, 10)).toBeLessThan(2000)
    }
    expect(performance.now() - started).toBeLessThan(8000)
  })
})
