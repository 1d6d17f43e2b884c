"""What :class:`orchestrator.clock.virtual_time.VirtualTimeLoop` is put together from: its selector and its timers."""

from __future__ import annotations

import asyncio
import contextvars
import math
import selectors
from collections.abc import Callable, Mapping
from typing import Any

Ready = list[tuple[selectors.SelectorKey, int]]


class IdleSelector(selectors.BaseSelector):
    """The real selector of the platform; the loop decides what to do when it has nothing to say.

    ``listens``: whether anything outside could speak: a descriptor besides the loop's own self-pipe, or a signal.
    """

    def __init__(self, idle: Callable[[selectors.BaseSelector, float], Ready]) -> None:
        self._real = selectors.DefaultSelector()
        self._idle = idle
        self._signals = False
        self.listens = False

    def heed_signals(self, heed: bool) -> None:
        """Somebody waits for signals, or nobody any more."""
        self._signals = heed
        self._count()

    def select(self, timeout: float | None = None) -> Ready:
        ready = self._real.select(0)
        if ready or timeout == 0:
            return ready
        return self._idle(self._real, math.inf if timeout is None else timeout)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = self._real.register(fileobj, events, data)
        self._count()
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = self._real.unregister(fileobj)
        self._count()
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()

    def _count(self) -> None:
        self.listens = self._signals or len(self._real.get_map()) > 1


class OrderedTimer(asyncio.TimerHandle):
    """A timer that knows its turn among those of the same instant.

    A heap keeps no order among equals: which of two fires first would depend on timers that have nothing to do with
    them. In virtual time whole seconds meet often, and a listener would change the order of events.
    """

    __slots__ = ("_turn",)
    _when: float
    _scheduled: bool

    def __init__(
        self,
        turn: int,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context | None,
    ) -> None:
        super().__init__(when, callback, args, loop, context)
        self._turn = turn

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, OrderedTimer):
            return NotImplemented
        return self._when < other._when or (self._when == other._when and self._turn < other._turn)
