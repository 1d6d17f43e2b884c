"""A loop whose seconds pass faster than the wall's, for programs that talk to twins which are served at that pace."""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

from orchestrator.errors import UsageRefused

_T = TypeVar("_T")


def check_pace(speed: float | None) -> None:
    """Raises UsageRefused for a ``--speed`` that is no pace; None is as fast as possible."""
    if speed is not None and not 0.0 < speed < math.inf:
        raise UsageRefused(
            f"--speed {speed:g}: a number above 0 (1 is real time), or nothing to go as fast as possible"
        )


class _FasterSelector(selectors.BaseSelector):
    """The platform's selector, with time-outs in the loop's seconds."""

    def __init__(self, pace: float) -> None:
        self._real = selectors.DefaultSelector()
        self._pace = pace

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        return self._real.select(timeout if timeout is None else timeout / self._pace)

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


class PacedLoop(asyncio.SelectorEventLoop):
    """An ordinary asyncio loop, ``pace`` of whose seconds pass in one of the wall's.

    Threads and ports work as ever; only what waits by this loop's clock waits less. Raises ValueError for a pace that
    is not positive and finite.
    """

    _clock_resolution: float  # the width of "now" in asyncio's loops, which has no public name

    def __init__(self, pace: float) -> None:
        if not (math.isfinite(pace) and pace > 0.0):
            raise ValueError(f"a pace must be positive and finite, not {pace!r}")
        self.pace = pace
        super().__init__(_FasterSelector(pace))
        self._clock_resolution = pace * 1e-6

    def time(self) -> float:
        """Seconds of this loop's clock, which begins nowhere in particular."""
        return super().time() * self.pace


def run_paced(coroutine: Coroutine[Any, Any, _T], pace: float) -> _T:
    """Run a coroutine to its end on a loop of this pace, as ``asyncio.run`` does."""
    with asyncio.Runner(loop_factory=lambda: PacedLoop(pace)) as runner:
        return runner.run(coroutine)
