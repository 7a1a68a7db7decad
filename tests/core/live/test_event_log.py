"""One contract, two logs: every promise of the event log is tried over memory and over a real Redis."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
import redis.asyncio

from core.kit.ids import TurnId
from core.live import control
from core.live import event_log as rules
from core.live.event_log import START, Batch, Cursor, Entry, EventLog, Follower, LogUnavailable, Page, Refused
from core.live.memory_log import MemoryLog
from core.live.redis_log import RedisLog

TOPIC = "turn:turn_1"


class Shelf:
    """A log and what a test needs beside it: a second process's log, and the loss of a topic."""

    def __init__(self, log: EventLog, other: EventLog, client: redis.asyncio.Redis | None, prefix: str) -> None:
        self.log = log
        self.other = other
        self.client = client
        self.prefix = prefix

    async def lose(self, topic: str) -> None:
        if isinstance(self.log, MemoryLog):
            self.log.lose(topic)
        else:
            assert self.client is not None
            await self.client.delete(f"{self.prefix}live:{topic}")


@pytest.fixture(params=["memory", "redis"])
async def shelf(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Shelf]:
    if request.param == "memory":
        log = MemoryLog()
        yield Shelf(log, log, None, "")
        return
    prefix = f"test-{secrets.token_hex(4)}:"
    client = redis.asyncio.from_url(redis_url)
    one, two = RedisLog(client, prefix), RedisLog(client, prefix)
    tasks = [asyncio.create_task(each.run()) for each in (one, two)]
    yield Shelf(one, two, client, prefix)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for key in [key async for key in client.scan_iter(f"{prefix}*")]:
        await client.delete(key)
    await client.aclose()


def numbers(batch: Batch) -> list[int]:
    return [entry.seq for entry in batch.entries]


async def test_entries_are_numbered_from_one_and_keep_their_data(shelf: Shelf) -> None:
    assert await shelf.log.append_next(TOPIC, "é".encode()) == 1
    await shelf.log.append(TOPIC, 2, b"two")
    assert await shelf.log.append_next(TOPIC, b"three") == 3
    page = await shelf.log.read(TOPIC, 0)
    assert [(entry.seq, entry.data) for entry in page.entries] == [(1, "é".encode()), (2, b"two"), (3, b"three")]
    assert page.last == 3
    assert {entry.epoch for entry in page.entries} == {page.epoch}
    assert [entry.seq for entry in (await shelf.log.read(TOPIC, 1, 1)).entries] == [2]


async def test_a_topic_that_is_not_there_reads_empty(shelf: Shelf) -> None:
    assert await shelf.log.read(TOPIC, 0) == Page((), "", 0)
    assert await shelf.log.tail(TOPIC) == START


async def test_repeating_ones_own_append_is_harmless(shelf: Shelf) -> None:
    await shelf.log.append(TOPIC, 1, b"one")
    await shelf.log.append(TOPIC, 2, b"two")
    await shelf.log.append(TOPIC, 1, b"one")
    await shelf.log.append(TOPIC, 2, b"two")
    assert (await shelf.log.read(TOPIC, 0)).last == 2


async def test_a_taken_number_is_refused_and_the_last_one_told(shelf: Shelf) -> None:
    await shelf.log.append(TOPIC, 1, b"one")
    await shelf.log.append(TOPIC, 2, b"two")
    with pytest.raises(Refused) as refused:
        await shelf.log.append(TOPIC, 1, b"other")
    assert refused.value.last == 2
    assert [entry.data for entry in (await shelf.log.read(TOPIC, 0)).entries] == [b"one", b"two"]


async def test_many_writers_take_each_number_once(shelf: Shelf) -> None:
    logs = (shelf.log, shelf.other)
    taken = await asyncio.gather(*(logs[n % 2].append_next("account:acc_1", b"x") for n in range(40)))
    assert sorted(taken) == list(range(1, 41))


async def test_the_oldest_entries_give_way(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "TURN_LIMITS", rules.Limits(3, 60))
    for n in range(1, 6):
        await shelf.log.append(TOPIC, n, b"%d" % n)
    page = await shelf.log.read(TOPIC, 0)
    assert [entry.seq for entry in page.entries] == [3, 4, 5]
    async with Follower(shelf.log, TOPIC) as follower:
        assert (await follower.next(0)).gap
        follower.go_on(Cursor(follower.epoch, 2))
        assert numbers(await follower.next(0)) == [3, 4, 5]


async def test_a_topic_expires_after_its_last_entry(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "TURN_LIMITS", rules.Limits(10, 1))
    await shelf.log.append_next(TOPIC, b"one")
    await asyncio.sleep(1.2)
    assert (await shelf.log.read(TOPIC, 0)).last == 0


async def test_a_follower_hears_the_past_and_then_what_comes(shelf: Shelf) -> None:
    await shelf.log.append(TOPIC, 1, b"one")
    async with Follower(shelf.other, TOPIC) as follower:
        assert numbers(await follower.next(1)) == [1]
        loop = asyncio.get_running_loop()
        waiting = asyncio.create_task(follower.next(4))
        await asyncio.sleep(0.1)
        before = loop.time()
        await shelf.log.append(TOPIC, 2, b"two")
        assert numbers(await waiting) == [2]
        assert loop.time() - before < 1


async def test_a_follower_misses_nothing_that_comes_while_it_begins(shelf: Shelf) -> None:
    async def write() -> None:
        for n in range(1, 101):
            await shelf.log.append(TOPIC, n, b"%d" % n)

    async def read() -> list[int]:
        seen: list[int] = []
        async with Follower(shelf.other, TOPIC) as follower:
            while len(seen) < 100:
                batch = await follower.next(2)
                assert not batch.gap
                assert batch.entries, "nothing came within two seconds"
                seen += numbers(batch)
        return seen

    results = await asyncio.gather(write(), *(read() for _ in range(5)))
    assert all(seen == list(range(1, 101)) for seen in results[1:])


async def test_silence_ends_with_an_empty_batch(shelf: Shelf) -> None:
    async with Follower(shelf.log, TOPIC) as follower:
        assert await follower.next(0.05) == Batch()


async def test_a_lost_topic_is_a_gap_and_its_successor_another_epoch(shelf: Shelf) -> None:
    await shelf.log.append(TOPIC, 1, b"one")
    await shelf.log.append(TOPIC, 2, b"two")
    async with Follower(shelf.log, TOPIC) as follower:
        assert numbers(await follower.next(0)) == [1, 2]
        before = follower.cursor
        await shelf.lose(TOPIC)
        assert (await follower.next(0)).gap
        await shelf.log.append(TOPIC, 3, b"three")
        assert (await follower.next(0)).gap
        assert follower.epoch not in ("", before.epoch)
        follower.go_on(Cursor(follower.epoch, 2))
        assert numbers(await follower.next(0)) == [3]


async def test_following_for_ever_marks_the_first_entry_after_a_gap(shelf: Shelf) -> None:
    await shelf.log.append_next("account:acc_1", b"one")
    async with aclosing(shelf.log.follow("account:acc_1")) as entries:
        first = await anext(entries)
        assert (first.seq, first.gap) == (1, False)
        await shelf.lose("account:acc_1")
        await shelf.log.append_next("account:acc_1", b"again")
        await shelf.log.append_next("account:acc_1", b"more")
        second, third = await anext(entries), await anext(entries)
        assert (second.data, second.gap) == (b"again", True)
        assert (third.data, third.gap) == (b"more", False)


async def test_following_from_the_tail_hears_only_what_comes_later(shelf: Shelf) -> None:
    await shelf.log.append_next("account:acc_1", b"old")
    tail = await shelf.log.tail("account:acc_1")
    await shelf.log.append_next("account:acc_1", b"new")
    async with aclosing(shelf.log.follow("account:acc_1", tail)) as entries:
        assert (await anext(entries)).data == b"new"


async def test_a_cancel_signal_reaches_another_process_within_a_second(shelf: Shelf) -> None:
    turn = TurnId("turn_1")
    await shelf.other.listen("anything")
    with control.cancel_event(shelf.other, turn) as asked, control.cancel_event(shelf.other, TurnId("turn_2")) as other:
        await control.request_cancel(shelf.log, turn)
        await asyncio.wait_for(asked.wait(), 1)
        assert not other.is_set()


async def test_a_redis_that_is_away_says_so() -> None:
    client = redis.asyncio.from_url("redis://127.0.0.1:1/0")
    log = RedisLog(client, "test:")
    with pytest.raises(LogUnavailable):
        await log.append(TOPIC, 1, b"one")
    with pytest.raises(LogUnavailable):
        await log.append_next(TOPIC, b"one")
    with pytest.raises(LogUnavailable):
        await log.read(TOPIC, 0)
    await control.request_cancel(log, TurnId("turn_1"))
    await client.aclose()


def entries(*seqs: int) -> tuple[Entry, ...]:
    return tuple(Entry(seq, "e", b"") for seq in seqs)


@pytest.mark.parametrize(
    ("cursor", "page", "batch"),
    [
        (START, Page((), "", 0), Batch()),
        (START, Page(entries(1, 2), "e", 2), Batch(entries(1, 2))),
        (START, Page(entries(5), "e", 5), Batch(gap=True)),
        (Cursor("e", 2), Page((), "e", 2), Batch()),
        (Cursor("e", 2), Page(entries(3), "e", 3), Batch(entries(3))),
        (Cursor("e", 2), Page(entries(4), "e", 4), Batch(gap=True)),
        (Cursor("e", 2), Page((), "e", 1), Batch(gap=True)),
        (Cursor("d", 2), Page(entries(3), "e", 3), Batch(gap=True)),
        (Cursor("e", 2), Page((), "", 0), Batch(gap=True)),
    ],
)
def test_what_a_gap_is(cursor: Cursor, page: Page, batch: Batch) -> None:
    assert rules.judge(cursor, page) == batch


@pytest.mark.parametrize("text", ["3f9a.42", ".0", "row.7"])
def test_a_cursor_is_read_from_its_text(text: str) -> None:
    assert str(Cursor.parse(text)) == text


@pytest.mark.parametrize("text", ["", "42", "a.", "a.-1", "a.1e5", "a.²", "x" * 50 + ".1"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="looks like"):
        Cursor.parse(text)
