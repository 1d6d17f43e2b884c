"""A value that changes at moments: how a fault enters histories that are worked out later, tick by tick."""

from __future__ import annotations

from bisect import bisect_right
from typing import Generic, TypeVar

T = TypeVar("T")


class Steps(Generic[T]):
    """A step function of time. False as long as it has never been changed."""

    def __init__(self, initial: T) -> None:
        self._times: list[float] = []
        self._values: list[T] = [initial]

    def __bool__(self) -> bool:
        return bool(self._times)

    def set(self, t_s: float, value: T) -> None:
        """From ``t_s`` on, until a later change."""
        place = bisect_right(self._times, t_s)
        self._times.insert(place, t_s)
        self._values.insert(place + 1, value)

    def at(self, t_s: float) -> T:
        """The value at a moment."""
        return self._values[bisect_right(self._times, t_s)]

    def since(self, t_s: float) -> float:
        """Seconds since the latest change before ``t_s``; 0 where there was none."""
        place = bisect_right(self._times, t_s)
        return t_s - self._times[place - 1] if place else 0.0
