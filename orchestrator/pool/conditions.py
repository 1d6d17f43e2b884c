"""A pool: conditions that were really run, their variables, and what is to be found among them."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal


@dataclass(frozen=True)
class PoolVariable:
    """One variable of the pool, with the bounds, values or levels that the table gives it."""

    name: str
    kind: Literal["continuous", "integer", "discrete", "categorical"]
    scale: Literal["linear", "log"]
    unit: str
    lower: float
    upper: float
    values: tuple[float, ...] = ()
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Desired:
    """What one of several outputs is worth (see `planners.Aspect`), in its own unit."""

    output: str
    full_at: float
    none_at: float
    around: float | None
    weight: float
    exponent: float


@dataclass(frozen=True)
class PoolGoal:
    """One campaign to replay: a target of its own, or the best conditions of the table, to be found in steps.

    ``output``: the one that it is about, or the first of those that are ``desired`` together. ``hits`` are indices of
    conditions; each of ``steps`` is a label and how many hits it takes.
    """

    label: str
    goal: Literal["target", "minimise", "maximise", "desirability"]
    output: str
    target: float | None
    tolerance: float
    hits: frozenset[int]
    steps: tuple[tuple[str, int], ...]
    desired: tuple[Desired, ...] = ()

    @property
    def reachable(self) -> bool:
        """Whether any condition of the table meets it."""
        return bool(self.hits)


@dataclass(frozen=True)
class Pool:
    """Conditions [n] with their coordinates, readings of the objective's outputs (NaN: absent), and what these come to:
    the value of the one output, or the overall desirability of several. None where all failed.

    ``rows`` of the table were read, and as many as ``left_out`` did not pass the filter.
    """

    name: str
    variables: tuple[PoolVariable, ...]
    x: tuple[tuple[float, ...], ...]
    readings: tuple[tuple[float, ...] | None, ...]
    values: tuple[float | None, ...]
    rows: int
    left_out: int
    goals: tuple[PoolGoal, ...]
    initial: int
    budget: int

    def __len__(self) -> int:
        return len(self.x)

    @cached_property
    def digest(self) -> str:
        """What a replay depends on, as a digest: conditions in their order, what is told of them, what is to be found,
        and from how many. How the table and the pool file are written, and what they are called, does not count."""
        goals = [
            (g.label, g.goal, g.output, g.target, g.tolerance, sorted(g.hits), [hits for _, hits in g.steps], g.desired)
            for g in self.goals
        ]
        parts = (self.variables, self.x, self.readings, goals, self.initial, self.budget)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    @property
    def unread(self) -> tuple[float, ...]:
        """The readings of a condition that failed: none of any output."""
        return (math.nan,) * max(1, len(self.goals[0].desired))
