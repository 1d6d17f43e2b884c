"""The stored events that a run is compared with while it is lived through again."""

from __future__ import annotations

import asyncio
import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.canonical import JSON, canonical, first_difference, parse
from orchestrator.clock.virtual_time import UtcClock
from orchestrator.errors import JournalError, ReplayDivergence
from orchestrator.journal.store import Draft, Event

INSTANT_SLACK_S = 1e-6  # virtual time gets this far past a recorded instant only when nothing can go on at it
WALL_SLACK_S = 60.0
LATE_S = 1.0  # so long an event of a record by the wall waits for calls that may never be made
_LOOKED_AT = ("_c", "_kpa")
"""Endings of the names of what several tasks look at, each when it comes to it."""
_DURATION = re.compile(r"\d+(\.\d+)? s\b")


class EndOfRecord(JournalError):  # noqa: N818 - not an error of anything: the record is over
    """A replay has come to the end of its record."""

    def __init__(self, path: Path, seq: int) -> None:
        super().__init__(f"{path}: the record ends with event {seq}")
        self.path = path
        self.seq = seq


class RecordDiffers(ReplayDivergence):
    """What happens now is not what the record says. `where`: path of the first difference, in event `seq`."""

    def __init__(self, seq: int, kind: str, where: str, expected: JSON, got: JSON) -> None:
        super().__init__(f"event {seq} ({kind}) differs at {where}: the record says {expected!r}, now it is {got!r}")
        self.seq = seq
        self.kind = kind
        self.where = where
        self.expected = expected
        self.got = got

    def as_dict(self) -> dict[str, Any]:
        state = {"seq": self.seq, "where": self.where, "expected": self.expected, "got": self.got}
        return {**super().as_dict(), **state}


@dataclass(frozen=True)
class Apart:
    """A reading of event ``seq`` that the replay saw otherwise: by the wall a look may fall before or after."""

    seq: int
    where: str
    then: float
    now: float

    def __str__(self) -> str:
        return f"event {self.seq}, {self.where}: {self.then:.6g} then, {self.now:.6g} now"


class Record:
    """Stored events, a place among them, and the order in which a replay must pass them.

    `exact`: the record was made in virtual time and repeats to the last bit; else times, values whose names end in
    `_s`, and durations in texts may differ, and temperatures and pressures that do are kept in `apart`. `noted`: the
    calls noted since the last event, as canonical texts (the journal's own list).
    """

    def __init__(
        self, path: Path, events: tuple[Event, ...], clock: UtcClock, noted: list[str], *, exact: bool
    ) -> None:
        self.events = events
        self.passed = 0
        self.diverged: RecordDiffers | None = None
        self.apart: list[Apart] = []
        self._path = path
        self._clock = clock
        self._noted = noted
        self.exact = exact
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def ahead(self) -> bool:
        """Whether events are left."""
        return self.passed < len(self.events)

    @property
    def following(self) -> Event | None:
        """The next event, which is not passed yet; None when none is left."""
        return self.events[self.passed] if self.ahead else None

    def peek(self, kind: str) -> Event | None:
        """The next event of this kind still ahead."""
        return next((event for event in self.events[self.passed :] if event.kind == kind), None)

    def take(self) -> Event:
        """The next event, which is then passed."""
        self.passed += 1
        return self.events[self.passed - 1]

    def compare(self, expected: Event, now: Draft, calls_text: str | None = None) -> Event:
        """The stored event if the draft says the same; else raises RecordDiffers, and keeps it as the first.

        `calls_text` replaces the stored calls where their order does not count.
        """
        stored = expected.calls_text if calls_text is None else calls_text
        if expected.kind == now.kind and expected.data_text == now.data_text and stored == now.calls_text:
            if expected.t_s == now.t_s or not self.exact:
                return expected
            raise self.diverge(expected.seq, expected.kind, "t_s", expected.t_s, now.t_s)
        parts = {
            "kind": (expected.kind, now.kind),
            "data": (expected.data, parse(now.data_text)),
            "calls": (parse(stored or "[]"), parse(now.calls_text or "[]")),
        }
        for part, (then, again) in parts.items():
            difference = first_difference(then, again, part, self._may_differ, self._alike)
            if difference is not None:
                where, recorded, got = difference
                raise self.diverge(expected.seq, expected.kind, where, recorded, got)
        return expected

    def _may_differ(self, key: str) -> bool:
        return not self.exact and key.endswith("_s")

    def _alike(self, path: str, then: JSON, now: JSON) -> bool:
        """By the wall a text may tell another duration, such as how long a flush took, and a temperature or a pressure
        may be that of the look before or after; the latter is noted."""
        if self.exact:
            return False
        if isinstance(then, str) and isinstance(now, str):
            return _DURATION.sub("", then) == _DURATION.sub("", now)
        if isinstance(then, float) and isinstance(now, float) and path.endswith(_LOOKED_AT):
            self.apart.append(Apart(self.passed + 1, path, then, now))
            return True
        return False

    def diverge(self, seq: int, kind: str, where: str, expected: JSON, got: JSON) -> RecordDiffers:
        """The first divergence; it is the cause of all later ones, so they are answered with it."""
        if self.diverged is None:
            self.diverged = RecordDiffers(seq, kind, where, expected, got)
        return self.diverged

    def wake(self) -> None:
        """Something happened that a waiting call or event may have waited for."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def follow(self, kind: str, data_text: str) -> Event:
        """Pass the next event in the record's own order: after its calls, in its turn, at its time.

        A run by the wall stops its watchers a moment after it decides to, while the disk or the machine is busy; calls
        that ended in that moment are in its record, and the replay, which stops them at once, is not held to them; nor
        to one look more or less between two events.

        Raises RecordDiffers, and EndOfRecord when no event is left.
        """
        asked_s = self._clock.t_s()
        while self.ahead:
            at, expected = self.passed, self.events[self.passed]
            if not self.exact:
                await self._until(partial(self._may_pass, at, kind), expected.t_s, LATE_S)
            if not await self._until(partial(self._may_pass, at, kind, complete=self.exact), expected.t_s):
                break  # it will not come to that: say what is different
            if self.passed == at:
                break
        else:
            raise EndOfRecord(self._path, len(self.events))
        if self.diverged is not None:
            raise self.diverged
        if not self.exact:
            await wait_until(self._clock.loop_time(expected.t_s))
        noted = sorted(self._noted)
        recorded = sorted(canonical(call) for call in _completed(expected))
        if not self.exact and Counter(noted) <= Counter(recorded):
            recorded = noted
        try:
            draft = Draft(expected.utc, asked_s, kind, data_text, joined(noted))
            self.compare(expected, draft, joined(recorded))
        finally:
            self._noted.clear()
            self.passed += 1
            self.wake()
        return expected

    async def turn(self, event: Event, position: int) -> None:
        """Wait until `event` is next and `position` of its completed calls are noted, or raise RecordDiffers.

        By the wall the order of calls between two events does not count.
        """

        def due() -> bool:
            return self.passed + 1 == event.seq and (len(self._noted) >= position or not self.exact)

        if not await self._until(due, event.t_s):
            got = f"{self.passed} events passed, {len(self._noted)} calls since"
            raise self.diverge(event.seq, event.kind, f"calls[{position}]", "its turn", got)

    async def pass_instant(self) -> None:
        """Wait until nothing more can happen at this instant (of a record by the wall: for its slack)."""
        await self._until(lambda: False, self._clock.t_s())

    async def end(self) -> None:
        """Wait for the end of the record. Raises EndOfRecord then; returns when it will not come."""
        last_s = self.events[-1].t_s if self.events else 0.0
        if await self._until(lambda: not self.ahead, last_s):
            raise EndOfRecord(self._path, len(self.events))

    def _may_pass(self, at: int, kind: str, *, complete: bool = True) -> bool:
        """Event `at` is of this kind with its calls noted; or another task has passed it, and the next one counts."""
        event = self.events[at]
        called = not complete or len(self._noted) >= len(_completed(event))
        return self.passed != at or (event.kind == kind and called)

    async def _until(self, ready: Callable[[], bool], t_s: float, wall_slack_s: float = WALL_SLACK_S) -> bool:
        """Wait for a condition, at most until shortly after the run's time `t_s`; False when it did not come true."""
        loop = asyncio.get_running_loop()
        slack_s = max(INSTANT_SLACK_S, 8 * math.ulp(t_s)) if self.exact else wall_slack_s
        deadline_s = max(self._clock.loop_time(t_s), loop.time()) + slack_s
        while not ready():
            if self.diverged is not None or loop.time() >= deadline_s:
                return False
            waiter: asyncio.Future[None] = loop.create_future()
            self._waiters.append(waiter)
            timer = loop.call_at(deadline_s, _reach, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
        return True


def _completed(event: Event) -> list[dict[str, Any]]:
    """The calls of an event that came to an end of their own: those cancelled need not come again."""
    return [call for call in event.calls if "x" not in call]


async def wait_until(when_s: float) -> None:
    """Wait for an exact instant of the loop (a sleep computes with differences and may miss it by a rounding)."""
    loop = asyncio.get_running_loop()
    if loop.time() >= when_s:
        return
    reached: asyncio.Future[None] = loop.create_future()
    timer = loop.call_at(when_s, _reach, reached)
    try:
        await reached
    finally:
        timer.cancel()


def joined(calls: list[str]) -> str:
    """Canonical texts of calls as the text of their array; "" for none."""
    return f"[{','.join(calls)}]" if calls else ""


def _reach(reached: asyncio.Future[None]) -> None:
    if not reached.done():
        reached.set_result(None)
