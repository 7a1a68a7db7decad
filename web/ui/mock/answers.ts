/* What the pretend model says. */

export const QUESTION = 'How do I test a flaky queue?'

export const SHOWCASE = `Start by making **time a parameter**. A test that waits for a real clock is a test that fails on a busy machine.

## Three sources of flakiness

1. **Time**: leases, back-off and time-outs read the clock.
2. **Order**: two workers claim the same job.
3. **Leftovers**: a queue from the previous test still holds an entry.

\`\`\`python
async def test_lease_expires(clock: FakeClock) -> None:
    queue = Queue(clock=clock)
    await queue.put("job-1")
    first = await queue.claim(lease_s=30)
    clock.advance(31)
    assert await queue.claim(lease_s=30) == first  # taken back, not lost
\`\`\`

| Check | Cost | Catches |
| :--- | ---: | :--- |
| fake clock | 1 ms | lease and back-off faults |
| two workers | 20 ms | double claims |
| kill -9 | 400 ms | lost jobs |

With $n$ workers and a claim that collides with probability $p$, a run is clean with

$$
P(\\text{clean}) = (1 - p)^{\\binom{n}{2}} \\approx e^{-p\\,n(n-1)/2}.
$$

> Run the suite a hundred times before you trust it once.

- [x] clock is a parameter
- [ ] two workers in one test

See [the notes on leases](https://example.org/leases) for the rest.`

export const CHINESE = `当然，下面是**东京三日**的一份从容行程：

1. **第一天 · 浅草与上野**：清晨去浅草寺，人少；下午逛上野公园的博物馆。
2. **第二天 · 涩谷与原宿**：明治神宫、表参道，傍晚看涩谷十字路口。
3. **第三天 · 台场**：teamLab、海滨公园，返程前喝一杯咖啡。

预算约为每人 $45\\,000$ 日元。`

export const THOUGHTS = 'The reader asks about flakiness, so causes come first: time, order, leftovers. A short test shows the idea; the table compares costs.'
