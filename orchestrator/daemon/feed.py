"""What the daemon tells whoever listens: notices, from any thread to any loop, that never hold up control.

A publisher pays for one short critical section and is never made to wait for a reader. Each reader has a queue of its
own with a bound. When that is full, either its oldest notices go (a reader that wants the latest state), or the reader
is closed (a stream that must not have silent gaps; it comes back and asks for what it missed). The feed keeps its last
notices, so that a reader can go on after the last sequence number that it saw.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from types import MappingProxyType
from typing import Literal, get_args

from orchestrator.canonical import JSON, canonical

Topic = Literal["reading", "state", "event", "alarm", "command"]
Overflow = Literal["drop_oldest", "close"]

TOPICS: tuple[Topic, ...] = get_args(Topic)
KEPT = 4096  # notices for readers that come back: half a minute of 16 devices at 10 Hz, hours without readings


@dataclass(frozen=True)
class Notice:
    """One thing that happened. `seq` counts from 1 within one life of the daemon.

    `rig` is None for what concerns the daemon as a whole. `t_s` is the time of the rig's clock, `utc` the instant in
    ISO 8601. `data` holds plain JSON values and is nobody's to change.
    """

    seq: int
    rig: str | None
    topic: Topic
    t_s: float
    utc: str
    data: Mapping[str, JSON]

    @cached_property
    def text(self) -> str:
        """The notice as one line of canonical JSON, made once for all readers."""
        fields = {"seq": self.seq, "rig": self.rig, "topic": self.topic, "t_s": self.t_s, "utc": self.utc}
        return canonical({**fields, "data": dict(self.data)})


class Waker:
    """Wakes readers in their loop from any thread: one call to the loop for all who have something to read.

    Each such call costs the one who publishes, perhaps a control thread, a system call and a turn at Python's lock.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = Lock()
        self._asleep: list[asyncio.Event] = []

    def serves(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether it wakes readers in this loop."""
        return self._loop is loop

    def wake(self, event: asyncio.Event) -> bool:
        """Set the event in the loop, soon. False when the loop is closed."""
        with self._lock:
            self._asleep.append(event)
            if len(self._asleep) > 1:
                return not self._loop.is_closed()
        try:
            self._loop.call_soon_threadsafe(self._wake_all)
        except RuntimeError:
            return False
        return True

    def _wake_all(self) -> None:
        with self._lock:
            asleep, self._asleep = self._asleep, []
        for event in asleep:
            event.set()


class Subscription:
    """One reader's queue: an async iterator in the loop that subscribed. Ends when closed, or by its own overflow.

    `dropped`: notices that this reader lost to its bound. `missed`: notices after `after_seq` that the feed no longer
    had. `overflowed`: whether the feed closed it for being too slow.
    """

    def __init__(
        self,
        waker: Waker,
        leave: Callable[[Subscription], None],
        *,
        topics: frozenset[str] | None,
        rigs: frozenset[str] | None,
        bound: int,
        overflow: Overflow,
    ) -> None:
        """Not for callers: `Feed.subscribe` makes it."""
        self.dropped = 0
        self.missed = 0
        self.overflowed = False
        self.waker = waker
        self._leave = leave
        self._topics = topics
        self._rigs = rigs
        self._bound = bound
        self._overflow = overflow
        self._lock = Lock()
        self._waiting: deque[Notice] = deque()
        self._replayed: deque[Notice] = deque()
        self._wake = asyncio.Event()
        self._woken = False
        self._closed = False

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Notice:
        notices = await self.batch(1)
        if not notices:
            raise StopAsyncIteration
        return notices[0]

    async def batch(self, limit: int) -> tuple[Notice, ...]:
        """Wait for at least one notice and take up to `limit`; none at all when this reader is closed."""
        while True:
            with self._lock:
                if self._closed:
                    return ()
                queue = self._replayed or self._waiting
                if queue:
                    return tuple(queue.popleft() for _ in range(min(limit, len(queue))))
                self._wake.clear()
                self._woken = False
            await self._wake.wait()

    @property
    def queued(self) -> int:
        """Notices that wait to be read, those replayed included."""
        with self._lock:
            return len(self._waiting) + len(self._replayed)

    def close(self) -> None:
        """Stop listening; what waits is let go. Idempotent, from any thread."""
        self._leave(self)
        with self._lock:
            self._end()

    def wants(self, notice: Notice) -> bool:
        """Whether this reader asked for such a notice. What concerns the whole daemon concerns every rig."""
        if self._topics is not None and notice.topic not in self._topics:
            return False
        return self._rigs is None or notice.rig is None or notice.rig in self._rigs

    def replay(self, notices: Iterable[Notice], missed: int) -> None:
        """For the feed, before the first offer: what happened before this reader came."""
        self._replayed.extend(notice for notice in notices if self.wants(notice))
        self.missed = missed

    def offer(self, notice: Notice) -> bool:
        """For the feed: take one notice. False when this reader is gone."""
        if not self.wants(notice):
            return True
        with self._lock:
            if self._closed:
                return False
            if len(self._waiting) >= self._bound:
                if self._overflow == "close":
                    self.dropped += len(self._waiting) + len(self._replayed) + 1
                    self.overflowed = True
                    self._end()
                    return False
                self._waiting.popleft()
                self.dropped += 1
            self._waiting.append(notice)
            return self._rouse()

    def _end(self) -> None:
        if not self._closed:
            self._closed = True
            self._waiting.clear()
            self._replayed.clear()
            self._rouse()

    def _rouse(self) -> bool:
        """Wake the reader's loop, once for any number of notices. False when that loop is closed."""
        if not self._woken:
            self._woken = True
            if not self.waker.wake(self._wake):
                self._closed = True
                self._waiting.clear()
                return False
        return True


class Feed:
    """Publish and subscribe across threads. `kept`: how many notices stay for readers that come back."""

    def __init__(self, *, kept: int = KEPT) -> None:
        if kept < 0:
            raise ValueError(f"kept must not be negative, got {kept}")
        self._lock = Lock()
        self._seq = 0
        self._kept: deque[Notice] = deque(maxlen=kept)
        self._readers: tuple[Subscription, ...] = ()

    @property
    def seq(self) -> int:
        """Sequence number of the last notice; 0 before the first."""
        return self._seq

    @property
    def readers(self) -> int:
        """How many are subscribed."""
        return len(self._readers)

    def publish(self, rig: str | None, topic: Topic, data: Mapping[str, JSON], *, t_s: float, utc: str) -> Notice:
        """Tell every reader; from any thread, and without waiting for any of them.

        `data` is copied. A number that is not finite becomes null, and what JSON cannot say becomes its text: telemetry
        must not be able to end a run. Raises ValueError for an unknown topic.
        """
        if topic not in TOPICS:
            raise ValueError(f"topic {topic!r} is none of {', '.join(TOPICS)}")
        frozen = MappingProxyType({str(key): _plain(value) for key, value in data.items()})
        with self._lock:
            self._seq += 1
            notice = Notice(self._seq, rig, topic, t_s if math.isfinite(t_s) else 0.0, utc, frozen)
            self._kept.append(notice)
            gone = [reader for reader in self._readers if not reader.offer(notice)]
            if gone:
                self._readers = tuple(reader for reader in self._readers if reader not in gone)
        return notice

    def subscribe(
        self,
        *,
        topics: Iterable[Topic] | None = None,
        rigs: Iterable[str] | None = None,
        bound: int = 256,
        overflow: Overflow = "drop_oldest",
        after_seq: int | None = None,
    ) -> Subscription:
        """Listen, in the running loop. None: all topics, all rigs, nothing of the past.

        `after_seq`: first hear again what is kept of the notices after this number; 0 for all that is kept. A number
        that was never given out is of another life of the daemon, and nothing is replayed.
        Raises ValueError for a bound below 1, and RuntimeError outside a loop.
        """
        if bound < 1:
            raise ValueError(f"bound must be at least 1, got {bound}")
        loop = asyncio.get_running_loop()
        waker = next((other.waker for other in self._readers if other.waker.serves(loop)), None)
        reader = Subscription(
            waker or Waker(loop),
            self._remove,
            topics=None if topics is None else frozenset(topics),
            rigs=None if rigs is None else frozenset(rigs),
            bound=bound,
            overflow=overflow,
        )
        with self._lock:
            if after_seq is not None and 0 <= after_seq <= self._seq:
                oldest = self._kept[0].seq if self._kept else self._seq + 1
                earlier = [notice for notice in self._kept if notice.seq > after_seq]
                reader.replay(earlier, max(0, oldest - after_seq - 1))
            self._readers = (*self._readers, reader)
        return reader

    def _remove(self, reader: Subscription) -> None:
        with self._lock:
            self._readers = tuple(other for other in self._readers if other is not reader)


def _plain(value: JSON) -> JSON:
    """A copy that holds only what JSON can say."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return value.encode(errors="replace").decode()
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)
