"""What is wanted where several outputs of any kind count, each in its own unit: their overall desirability."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from planners.desirability import Desirable, overall
from planners.errors import PlannerError

if TYPE_CHECKING:
    from torch import Tensor

_Array = TypeVar("_Array", NDArray[np.float64], "Tensor")


@dataclass(frozen=True)
class Aspect:
    """One output and what it is worth: by its value, or by its distance from `around`.

    Raises:
        PlannerError: no name, or a place to be near to that is not finite.
    """

    output: str
    desirable: Desirable
    around: float | None = None

    def __post_init__(self) -> None:
        if not self.output:
            raise PlannerError("objective: an output needs a name")
        if self.around is not None and not math.isfinite(self.around):
            raise PlannerError(f"objective: {self.output} around {self.around!r}, which is not finite")

    def times(self, factor: float) -> "Aspect":
        """The same of values that were multiplied by a power of two."""
        ends = replace(self.desirable, full_at=self.desirable.full_at * factor, none_at=self.desirable.none_at * factor)
        return replace(self, desirable=ends, around=None if self.around is None else self.around * factor)

    def share(self, values: _Array) -> _Array:
        """See `Desirable.share`."""
        if self.around is None:
            return self.desirable.share(values)
        distance: _Array = abs(values - self.around)
        return self.desirable.share(distance)


@dataclass(frozen=True)
class SeveralOutputs:
    """The overall desirability of several outputs as large as possible (see `planners.desirability`).

    All but the first may be absent from a reading; one that is lacks all that it could be worth.

    Raises:
        PlannerError: fewer than two outputs, or one of them twice.
    """

    aspects: tuple[Aspect, ...]

    def __post_init__(self) -> None:
        if len(self.aspects) < 2 or len(set(self.outputs)) != len(self.aspects):
            raise PlannerError(f"objective: at least two different outputs are wanted, not {', '.join(self.outputs)}")

    @property
    def outputs(self) -> tuple[str, ...]:
        """See `Wanted`."""
        return tuple(aspect.output for aspect in self.aspects)

    @property
    def least(self) -> tuple[float, ...]:
        """See `Wanted`."""
        return (-math.inf,) * len(self.aspects)

    @property
    def most(self) -> tuple[float, ...]:
        """See `Wanted`."""
        return (math.inf,) * len(self.aspects)

    @property
    def target(self) -> float | None:
        """See `Wanted`: none, what is sought is an extreme."""
        return None

    @property
    def tolerance(self) -> float:
        """See `Wanted`."""
        return 0.0

    @property
    def first_noise(self) -> tuple[float, float]:
        """See `Wanted`: fitted."""
        return (0.0, 0.0)

    @property
    def other_noise(self) -> tuple[float, ...]:
        """See `Wanted`: fitted."""
        return (0.0,) * (len(self.aspects) - 1)

    @property
    def spread_floor(self) -> tuple[float, ...]:
        """See `Wanted`: a thousandth of the way from worthless to all that is wanted."""
        return tuple(1e-3 * abs(a.desirable.full_at - a.desirable.none_at) for a in self.aspects)

    @property
    def sizes(self) -> tuple[float, ...]:
        """How large the numbers are that readings of each output are compared with [m]."""
        return tuple(
            max(abs(a.desirable.full_at), abs(a.desirable.none_at), abs(a.around or 0.0)) for a in self.aspects
        )

    def times(self, factors: tuple[float, ...]) -> "SeveralOutputs":
        """The same of readings that were multiplied, those of each output by a power of two [m]."""
        return SeveralOutputs(tuple(a.times(factor) for a, factor in zip(self.aspects, factors, strict=True)))

    def worth(self, outputs: _Array) -> _Array:
        """See `Wanted`."""
        return overall([(a.desirable, a.share(outputs[..., i])) for i, a in enumerate(self.aspects)])

    def score_rows(self, readings: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Wanted`."""
        parts = []
        for i, aspect in enumerate(self.aspects):
            share = np.asarray(aspect.share(readings[..., i]), dtype=np.float64)
            parts.append((aspect.desirable, share if i == 0 else np.where(np.isnan(share), -1.0, share)))
        return np.asarray(overall(parts), dtype=np.float64)

    def away(self, readings: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Wanted`."""
        return np.zeros_like(readings[..., 0])

    def reached(self, readings: NDArray[np.float64]) -> NDArray[np.bool_]:
        """See `Wanted`: never."""
        return np.zeros(readings.shape[:-1], dtype=np.bool_)

    def shortfall(self, first: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Wanted`: of the first output alone, in units of its own range."""
        return np.asarray(1.0 - self.aspects[0].share(first), dtype=np.float64)

    def resolution(self, readings: NDArray[np.float64]) -> float:
        """See `Wanted`: the standard deviation of the scores."""
        scores = self.score_rows(readings)
        known = scores[~np.isnan(scores)]
        return max(float(np.std(known)) if len(known) else 0.0, 1e-3)
