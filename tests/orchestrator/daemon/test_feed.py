"""The feed: every reader hears in order what it asked for, and none can hold up a publisher."""

from __future__ import annotations

import asyncio
import math
import threading
from pathlib import Path
from typing import Any

import pytest

from orchestrator.clock.virtual_time import run_virtual
from orchestrator.daemon.feed import Feed, Notice, Subscription

UTC = "2000-01-01T00:00:00Z"


def say(feed: Feed, n: int = 1, *, rig: str | None = "bench", topic: Any = "reading") -> list[Notice]:
    return [feed.publish(rig, topic, {"n": feed.seq + 1}, t_s=0.5, utc=UTC) for _ in range(n)]


async def heard(reader: Subscription) -> list[int]:
    """What waits in a reader's queue now."""
    return [(await anext(reader)).seq for _ in range(reader.queued)]


def test_readers_hear_everything_in_order_from_when_they_came() -> None:
    async def scene() -> None:
        feed = Feed()
        say(feed, 2)
        reader = feed.subscribe()
        say(feed, 3)
        assert await heard(reader) == [3, 4, 5]

    run_virtual(scene())


def test_a_reader_waits_for_a_notice_from_another_thread() -> None:
    async def scene() -> Notice:
        feed = Feed()
        reader = feed.subscribe()
        waiting = asyncio.ensure_future(anext(reader))
        await asyncio.sleep(0)
        publisher = threading.Thread(target=say, args=(feed,))
        publisher.start()
        publisher.join()
        return await asyncio.wait_for(waiting, 5.0)

    assert asyncio.run(scene()).seq == 1


def test_filters_by_topic_and_rig_let_the_daemons_own_notices_through() -> None:
    async def scene() -> None:
        feed = Feed()
        reader = feed.subscribe(topics=["state", "alarm"], rigs=["bench"])
        say(feed, topic="reading")
        say(feed, topic="state")
        say(feed, topic="state", rig="other")
        say(feed, topic="alarm", rig=None)
        assert await heard(reader) == [2, 4]

    run_virtual(scene())


def test_a_full_queue_loses_its_oldest_and_counts_them() -> None:
    async def scene() -> None:
        feed = Feed()
        reader = feed.subscribe(bound=3)
        say(feed, 10)
        assert await heard(reader) == [8, 9, 10]
        assert (reader.dropped, reader.overflowed) == (7, False)

    run_virtual(scene())


def test_a_stream_that_may_not_have_gaps_is_closed_when_it_is_too_slow() -> None:
    async def scene() -> None:
        feed = Feed()
        slow = feed.subscribe(bound=3, overflow="close")
        quick = feed.subscribe(bound=10)
        say(feed, 5)
        assert [notice async for notice in slow] == []
        assert (slow.overflowed, slow.dropped, slow.queued) == (True, 4, 0)
        assert feed.readers == 1
        assert await heard(quick) == [1, 2, 3, 4, 5]

    run_virtual(scene())


def test_a_reader_that_comes_back_goes_on_where_it_was_without_gap_or_repeat() -> None:
    async def scene() -> None:
        feed = Feed(kept=100)
        say(feed, 20)
        reader = feed.subscribe(after_seq=15, bound=1)
        say(feed, 1)
        assert await heard(reader) == [16, 17, 18, 19, 20, 21]
        assert reader.missed == 0

    run_virtual(scene())


def test_what_the_feed_no_longer_has_is_counted_as_missed() -> None:
    async def scene() -> None:
        feed = Feed(kept=4)
        say(feed, 20)
        reader = feed.subscribe(after_seq=10)
        assert await heard(reader) == [17, 18, 19, 20]
        assert reader.missed == 6

    run_virtual(scene())


def test_a_number_of_another_life_replays_nothing() -> None:
    async def scene() -> None:
        feed = Feed()
        say(feed, 3)
        reader = feed.subscribe(after_seq=900)
        assert (reader.queued, reader.missed) == (0, 0)

    run_virtual(scene())


def test_a_batch_takes_what_waits_up_to_its_limit() -> None:
    async def scene() -> list[int]:
        feed = Feed()
        reader = feed.subscribe()
        say(feed, 5)
        sizes = [len(await reader.batch(3)), len(await reader.batch(3))]
        reader.close()
        return [*sizes, len(await reader.batch(3))]

    assert run_virtual(scene()) == [3, 2, 0]


def test_closing_ends_the_iteration_and_frees_the_place() -> None:
    async def scene() -> None:
        feed = Feed()
        reader = feed.subscribe()
        waiting = asyncio.ensure_future(anext(reader, None))
        await asyncio.sleep(0)
        reader.close()
        reader.close()
        assert await waiting is None
        assert feed.readers == 0

    run_virtual(scene())


def test_a_reader_whose_loop_is_gone_is_forgotten_by_the_next_notices() -> None:
    async def scene(feed: Feed) -> None:
        feed.subscribe()

    feed = Feed()
    run_virtual(scene(feed))
    say(feed, 2)
    assert feed.readers == 0


def test_a_stuck_reader_costs_its_loop_one_wake_up_however_much_is_published() -> None:
    async def scene() -> None:
        feed = Feed()
        feed.subscribe(bound=8)
        before = len(asyncio.get_running_loop()._ready)  # type: ignore[attr-defined]
        say(feed, 1000)
        assert len(asyncio.get_running_loop()._ready) - before <= 1  # type: ignore[attr-defined]

    asyncio.run(scene())


def test_many_readers_cost_who_publishes_one_call_to_their_loop() -> None:
    async def scene() -> None:
        feed = Feed()
        readers = [feed.subscribe() for _ in range(20)]
        before = len(asyncio.get_running_loop()._ready)  # type: ignore[attr-defined]
        say(feed, 3)
        assert len(asyncio.get_running_loop()._ready) - before == 1  # type: ignore[attr-defined]
        assert [len(await reader.batch(9)) for reader in readers] == 20 * [3]

    asyncio.run(scene())


def test_notices_hold_plain_values_whatever_a_publisher_gave() -> None:
    shared = {"values": [1.0, math.nan], "path": Path("a"), "deep": {"x": (math.inf,)}}
    notice = Feed().publish("bench", "event", shared, t_s=math.nan, utc=UTC)
    shared["values"].append(9.0)  # type: ignore[attr-defined]
    assert notice.data == {"values": [1.0, None], "path": "a", "deep": {"x": [None]}}
    assert notice.text.startswith('{"data":{"deep":{"x":[null]},"path":"a","values":[1.0,null]}')
    with pytest.raises(TypeError):
        notice.data["new"] = 1  # type: ignore[index]


def test_notices_from_many_threads_keep_one_order() -> None:
    async def scene() -> list[int]:
        feed = Feed()
        reader = feed.subscribe(bound=1000)
        threads = [threading.Thread(target=say, args=(feed, 100)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return await heard(reader)

    assert asyncio.run(scene()) == list(range(1, 801))


@pytest.mark.parametrize("bound", [0, -1])
def test_nonsense_is_refused(bound: int) -> None:
    async def scene() -> None:
        with pytest.raises(ValueError, match="bound"):
            Feed().subscribe(bound=bound)

    run_virtual(scene())
    with pytest.raises(ValueError, match="topic"):
        Feed().publish(None, "gossip", {}, t_s=0.0, utc=UTC)  # type: ignore[arg-type]
