/* Following the end of a text that grows: only while the reader is there, and never against them. */

const NEAR_PX = 80

/** Keeps a scroller at its end while wanted. Told of growth after each commit, in the same frame. */
export class EndFollower {
  following = true

  constructor(
    private readonly scroller: HTMLElement,
    private readonly onChange: (atEnd: boolean) => void,
  ) {}

  /** Starts to listen to the reader's gestures; returns the function that stops it. */
  listen(): () => void {
    const release = () => this.#set(false)
    const onWheel = (event: WheelEvent) => {
      if (event.deltaY < 0) release()
    }
    const onKey = (event: KeyboardEvent) => {
      if (['PageUp', 'ArrowUp', 'Home'].includes(event.key)) release()
    }
    let touchY = 0
    const onTouchStart = (event: TouchEvent) => (touchY = event.touches[0]?.clientY ?? 0)
    const onTouchMove = (event: TouchEvent) => {
      if ((event.touches[0]?.clientY ?? 0) > touchY + 4) release()
    }
    const onScroll = () => {
      if (this.isNearEnd()) this.#set(true)
      else if (!this.following) this.onChange(false)
    }
    const { scroller } = this
    scroller.addEventListener('wheel', onWheel, { passive: true })
    scroller.addEventListener('touchstart', onTouchStart, { passive: true })
    scroller.addEventListener('touchmove', onTouchMove, { passive: true })
    scroller.addEventListener('keydown', onKey)
    scroller.addEventListener('scroll', onScroll, { passive: true })
    return () => {
      scroller.removeEventListener('wheel', onWheel)
      scroller.removeEventListener('touchstart', onTouchStart)
      scroller.removeEventListener('touchmove', onTouchMove)
      scroller.removeEventListener('keydown', onKey)
      scroller.removeEventListener('scroll', onScroll)
    }
  }

  isNearEnd(): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller
    return scrollHeight - scrollTop - clientHeight <= NEAR_PX
  }

  /** The text has grown. */
  grown(): void {
    if (this.following) this.scroller.scrollTop = this.scroller.scrollHeight
    this.onChange(this.following || this.isNearEnd())
  }

  /** The reader asks for the end. */
  toEnd(): void {
    this.scroller.scrollTop = this.scroller.scrollHeight
    this.#set(true)
  }

  #set(following: boolean): void {
    this.following = following
    this.onChange(following || this.isNearEnd())
  }
}
