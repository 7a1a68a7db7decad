/* Server-sent events as they come off the wire: bytes in any pieces in, whole frames out. */

export interface Frame {
  readonly id: string | null
  readonly data: string
}

/** Incremental parser; `feed` returns the frames that were completed, comments are swallowed. */
export class SseParser {
  #decoder = new TextDecoder()
  #rest = ''
  #id: string | null = null
  #data: string[] = []

  feed(bytes: Uint8Array): Frame[] {
    this.#rest += this.#decoder.decode(bytes, { stream: true })
    const frames: Frame[] = []
    for (;;) {
      const end = /\r\n|\n|\r(?!$)/.exec(this.#rest)
      if (!end) break
      const line = this.#rest.slice(0, end.index)
      this.#rest = this.#rest.slice(end.index + end[0].length)
      if (line) {
        this.#line(line)
      } else if (this.#data.length) {
        frames.push({ id: this.#id, data: this.#data.join('\n') })
        this.#data = []
      }
    }
    return frames
  }

  #line(line: string): void {
    const colon = line.indexOf(':')
    const field = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'id') this.#id = value
    else if (field === 'data') this.#data.push(value)
  }
}
