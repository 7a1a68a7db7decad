import { describe, expect, it } from 'vitest'
import css from './tokens.css?raw'

const tokens = new Map(
  [...css.matchAll(/--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g)].map(([, name = '', light = '', dark = '']) => [
    name,
    { light, dark },
  ]),
)

function luminance(colour: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5]
    .map((at) => Number.parseInt(colour.slice(at, at + 2), 16) / 255)
    .map((channel) => (channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4))
  return 0.2126 * r + 0.7152 * g + 0.0722 * b
}

function contrast(one: string, other: string): number {
  const [high = 0, low = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a)
  return (high + 0.05) / (low + 0.05)
}

const pair = (ink: string, ground: string) => {
  const [a, b] = [tokens.get(ink), tokens.get(ground)]
  if (!a || !b) throw new Error(`no colour named ${ink} or ${ground}`)
  return [contrast(a.light, b.light), contrast(a.dark, b.dark)] as const
}

const grounds = ['paper', 'panel', 'sunk', 'accent-soft']
const inks = ['ink', 'ink-2', 'ink-3', 'accent', 'danger', 'warn', 'good', 'info']

describe('contrast, light and dark', () => {
  it.each(inks.flatMap((ink) => grounds.map((ground) => [ink, ground] as const)))('%s can be read on %s', (ink, ground) => {
    for (const ratio of pair(ink, ground)) expect(ratio).toBeGreaterThanOrEqual(4.5)
  })

  it.each(['code-word', 'code-text', 'code-name', 'code-value', 'code-note'])('%s can be read in a code block', (ink) => {
    for (const ratio of pair(ink, 'sunk')) expect(ratio).toBeGreaterThanOrEqual(4.5)
  })

  it('holds for text on the accent', () => {
    for (const ratio of pair('on-accent', 'accent')) expect(ratio).toBeGreaterThanOrEqual(4.5)
  })

  it.each(['paper', 'panel'])('controls stand out on %s', (ground) => {
    for (const ratio of pair('line-strong', ground)) expect(ratio).toBeGreaterThanOrEqual(3)
  })
})
