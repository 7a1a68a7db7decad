import { describe, expect, it } from 'vitest'
import { SseParser, type Frame } from './sse'

const WIRE = ': open\n\nid: e.1\ndata: {"text":"é😀"}\n\r\nid: e.2\r\ndata: one\r\ndata: two\r\n\r\ndata:bare\n\n'
const FRAMES: Frame[] = [
  { id: 'e.1', data: '{"text":"é😀"}' },
  { id: 'e.2', data: 'one\ntwo' },
  { id: 'e.2', data: 'bare' },
]

describe('the event stream parser', () => {
  it('reads the same frames however the bytes are cut', () => {
    const bytes = new TextEncoder().encode(WIRE)
    for (let size = 1; size <= bytes.length; size += 1) {
      const parser = new SseParser()
      const frames: Frame[] = []
      for (let at = 0; at < bytes.length; at += size) frames.push(...parser.feed(bytes.slice(at, at + size)))
      expect(frames).toEqual(FRAMES)
    }
  })

  it('keeps an unfinished frame back', () => {
    expect(new SseParser().feed(new TextEncoder().encode('data: half\n'))).toEqual([])
  })
})
