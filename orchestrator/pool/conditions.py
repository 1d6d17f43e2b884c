"""A pool: conditions that were really run, their variables, and what is to be found among them."""

from __future__ import annotations

from dataclasses import dataclass
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
class PoolGoal:
    """One campaign to replay: a target of its own, or the best conditions of the table, to be found in steps.

    ``hits`` are indices of conditions; each of ``steps`` is a label and how many hits it takes.
    """

    label: str
    goal: Literal["target", "minimise", "maximise"]
    output: str
    target: float | None
    tolerance: float
    hits: frozenset[int]
    steps: tuple[tuple[str, int], ...]

    @property
    def reachable(self) -> bool:
        """Whether any condition of the table meets it."""
        return bool(self.hits)


@dataclass(frozen=True)
class Pool:
    """Conditions [n] with their coordinates, and the value of the objective's output; None where all failed.

    ``digest`` changes with the table, the pool file and the order of conditions.
    """

    name: str
    digest: str
    variables: tuple[PoolVariable, ...]
    x: tuple[tuple[float, ...], ...]
    values: tuple[float | None, ...]
    rows: int
    goals: tuple[PoolGoal, ...]
    initial: int
    budget: int

    def __len__(self) -> int:
        return len(self.x)
