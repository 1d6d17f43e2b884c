"""Waiting for a task no longer than so long, without a timer for every wait."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class Patience:
    """Begins one task after the other and waits for each for at most a while; it goes on when that is over.

    One timer serves all waits: most end long before it, and it is only set anew where it rings too early.
    """

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Future[None] | None = None
        self._until_s = math.inf

    def begin(self, act: Callable[[], Awaitable[T]]) -> asyncio.Task[T]:
        """A task that does it, and whose end is noticed here."""
        return asyncio.get_running_loop().create_task(self._acted(act))

    async def ended(self, task: asyncio.Task[T], within_s: float) -> bool:
        """Wait for a task that has begun here; whether it has ended by then. A cancelled caller leaves it as it is."""
        if task.done():
            return True
        loop = task.get_loop()
        waiting = self._waiting = loop.create_future()
        until_s = self._until_s = loop.time() + within_s
        if self._timer is None or self._timer.when() > until_s:
            self.close()
            self._timer = loop.call_at(until_s, self._ring)
        try:
            await waiting
        finally:
            self._waiting = None
        return task.done()

    def close(self) -> None:
        """Take the timer away."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def _acted(self, act: Callable[[], Awaitable[T]]) -> T:
        try:
            return await act()
        finally:
            self._end()

    def _end(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _ring(self) -> None:
        self._timer = None
        if self._waiting is None:
            return
        loop = self._waiting.get_loop()
        if self._until_s <= loop.time():
            self._end()
        else:
            self._timer = loop.call_at(self._until_s, self._ring)
