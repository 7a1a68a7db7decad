import { describe, expect, it } from 'vitest'
import type { TurnEvent } from '../app/wire'
import { codePoints, LiveAnswer } from './answer'

const text = (offset: number, piece: string): TurnEvent => ({ type: 'text_added', offset, text: piece })

describe('an answer that is being written', () => {
  it('grows piece by piece', () => {
    const answer = new LiveAnswer()
    for (const event of [text(0, 'Hel'), text(3, 'lo')]) expect(answer.apply(event)).toBe('on')
    expect(answer.text).toBe('Hello')
  })

  it('takes a repeated piece once', () => {
    const answer = new LiveAnswer()
    for (const event of [text(0, 'Hello'), text(0, 'Hello'), text(3, 'lo')]) answer.apply(event)
    expect(answer.text).toBe('Hello')
  })

  it('takes only the new end of a piece that overlaps', () => {
    const answer = new LiveAnswer([{ type: 'text', text: 'Hello' }])
    answer.apply(text(3, 'lo world'))
    expect(answer.text).toBe('Hello world')
  })

  it('counts code points, not UTF-16 units', () => {
    expect(codePoints('a😀字')).toBe(3)
    const answer = new LiveAnswer()
    for (const event of [text(0, '😀😀'), text(2, '好'), text(1, '😀好!')]) expect(answer.apply(event)).toBe('on')
    expect(answer.text).toBe('😀😀好!')
  })

  it('notices missing text and adds nothing behind the hole', () => {
    const answer = new LiveAnswer()
    answer.apply(text(0, 'abc'))
    expect(answer.apply(text(5, 'f'))).toBe('gap')
    expect(answer.text).toBe('abc')
  })

  it('is replaced by a snapshot and goes on behind it', () => {
    const answer = new LiveAnswer([{ type: 'text', text: 'old' }])
    const parts = [{ type: 'reasoning', text: 'hm' }, { type: 'text', text: 'new text' }] as const
    answer.apply({ type: 'snapshot', message: { parts }, seq: 9 })
    answer.apply(text(8, '!'))
    expect([answer.reasoning, answer.text]).toEqual(['hm', 'new text!'])
  })

  it('keeps thoughts on an offset of their own', () => {
    const answer = new LiveAnswer()
    answer.apply({ type: 'reasoning_added', offset: 0, text: 'thinking' })
    expect(answer.apply(text(0, 'said'))).toBe('on')
    expect(answer.parts).toEqual([
      { type: 'reasoning', text: 'thinking' },
      { type: 'text', text: 'said' },
    ])
  })

  it('ends with what was told', () => {
    const answer = new LiveAnswer()
    expect(answer.apply({ type: 'failed', code: 'cut', message: 'It broke off.', kept: true })).toBe('done')
    expect(answer.end).toMatchObject({ kind: 'failed', reason: 'cut', message: 'It broke off.', kept: true })
  })

  it('goes on when a newer server tells more', () => {
    expect(new LiveAnswer().apply({ type: 'confetti' } as unknown as TurnEvent)).toBe('on')
  })
})
