"""The passes of an event loop in virtual time, made with as little ado as they allow.

A day of reactor time is tens of millions of passes, nearly all of them alike: a timer is due, a task goes on. asyncio's
own pass asks the platform's selector every time, and takes care of debugging, of stopping and of many cancelled timers;
here it is left to do so only where one of these is up. What is called, and in which order, is the same.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVarTuple

from orchestrator.clock.loop_parts import IdleSelector, OrderedTimer

_Ts = TypeVarTuple("_Ts")

MANY_TIMERS: Final = 100
"""Of more than so many, of which most are cancelled, asyncio's own pass rids the heap."""

if TYPE_CHECKING:

    class _Loop(asyncio.SelectorEventLoop):
        """With what BaseEventLoop has without a public name.

        The queue of what is to be called, also by other threads; the heap of timers and how many of them are
        cancelled; the width of "now", within which a timer is due; whether it debugs, stops or is closed; its pass.
        """

        _ready: deque[asyncio.Handle]
        _scheduled: list[OrderedTimer]
        _timer_cancelled_count: int
        _clock_resolution: float
        _debug: bool
        _stopping: bool
        _closed: bool

        def _run_once(self) -> None: ...
else:
    _Loop = asyncio.SelectorEventLoop


class BriskLoop(_Loop):
    """A loop whose time stands still during a pass, and of whose timers of one instant the first set fires first.

    ``outside``: the selector, which says whether anything outside could speak.
    """

    def __init__(self, outside: IdleSelector) -> None:
        self._outside = outside
        self._turns = 0
        super().__init__(outside)

    def _jump(self, when_s: float) -> bool:
        """Nothing is ready before the timer at ``when_s``: be there at once, or say that it is not as simple."""
        raise NotImplementedError

    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        if self._debug or self._closed:
            return super().call_soon(callback, *args, context=context)
        handle = asyncio.Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        """As in asyncio; of timers of the same instant the one that was set first fires first."""
        if self._closed:
            raise RuntimeError("Event loop is closed")
        self._turns += 1
        timer = OrderedTimer(self._turns, when, callback, args, self, context)
        heapq.heappush(self._scheduled, timer)
        timer._scheduled = True  # how the loop knows that a cancelled one is still in the heap
        return timer

    def _run_once(self) -> None:
        """Drop cancelled timers, jump if nothing is ready, then call what is due and ready."""
        ready, timers = self._ready, self._scheduled
        if self._outside.listens or self._stopping or self._debug or self._is_littered():
            super()._run_once()
            return
        while timers and timers[0]._cancelled:
            heapq.heappop(timers)._scheduled = False
            self._timer_cancelled_count -= 1
        if not ready and not (timers and self._jump(timers[0]._when)):
            super()._run_once()
            return
        end_s = self.time() + self._clock_resolution
        while timers and timers[0]._when < end_s:
            timer = heapq.heappop(timers)
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _is_littered(self) -> bool:
        return 2 * self._timer_cancelled_count > len(self._scheduled) > MANY_TIMERS
