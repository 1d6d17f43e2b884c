"""What is wanted where there is one output, of any kind and in its own unit."""

import math
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from planners.errors import PlannerError
from planners.objective import Goal

if TYPE_CHECKING:
    from torch import Tensor

_Array = TypeVar("_Array", NDArray[np.float64], "Tensor")


_SLACK, _TARGET_SLACK = 1e-9, 1e-12
"""Slack of a tolerance, and of the target itself: a reading that was written down at the very edge is inside."""


def is_within(values: NDArray[np.float64] | float, target: float, tolerance: float) -> NDArray[np.bool_]:
    """Whether values [...] are within a tolerance of a target, its edge included whatever rounding makes of it; what is
    not a number is not."""
    edge = tolerance * (1.0 + _SLACK) + abs(target) * _TARGET_SLACK
    return np.asarray(np.abs(np.asarray(values, dtype=np.float64) - target) <= edge, dtype=np.bool_)


@dataclass(frozen=True)
class OneOutput:
    """One output on target, as small or as large as possible: in its own unit, whatever it is.

    The utility is -h(|y - target| / tolerance) with Huber's h as in `Objective`, or -y, or y. `noise` is the known
    standard deviation of one reading; zero leaves it to be fitted.

    Raises:
        PlannerError: no name, an unknown goal, a target or tolerance that is absent, not finite or not asked for, or a
            negative noise.
    """

    output: str
    goal: Goal
    value: float | None = None
    within: float = 0.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not self.output:
            raise PlannerError("objective: an output needs a name")
        if self.goal not in get_args(Goal):
            raise PlannerError(f"objective: goal {self.goal!r} is not one of {', '.join(get_args(Goal))}")
        if self.goal == "target":
            if self.value is None or not math.isfinite(self.value):
                raise PlannerError(f"objective: value must be finite, not {self.value!r}")
            if not (math.isfinite(self.within) and self.within > 0):
                raise PlannerError(f"objective: within must be positive and finite, not {self.within!r}")
        elif self.value is not None or self.within:
            raise PlannerError(f"objective: to {self.goal} an output takes no value and no tolerance")
        if not (math.isfinite(self.noise) and self.noise >= 0):
            raise PlannerError(f"objective: noise must be zero or positive and finite, not {self.noise!r}")

    @property
    def outputs(self) -> tuple[str, ...]:
        """See `Wanted`."""
        return (self.output,)

    @property
    def least(self) -> tuple[float, ...]:
        """See `Wanted`."""
        return (-math.inf,)

    @property
    def most(self) -> tuple[float, ...]:
        """See `Wanted`."""
        return (math.inf,)

    @property
    def target(self) -> float | None:
        """See `Wanted`."""
        return self.value

    @property
    def tolerance(self) -> float:
        """See `Wanted`."""
        return self.within

    @property
    def first_noise(self) -> tuple[float, float]:
        """See `Wanted`: without a stated noise, a fifth of the tolerance."""
        return (self.noise or 0.2 * self.within, 0.0)

    @property
    def other_noise(self) -> tuple[float, ...]:
        """See `Wanted`."""
        return ()

    @property
    def spread_floor(self) -> tuple[float, ...]:
        """See `Wanted`."""
        return (max(4.0 * self.within, 1e-9),)

    @property
    def sizes(self) -> tuple[float, ...]:
        """How large the number is that its readings are compared with; zero where there is none."""
        return (abs(self.value or 0.0),)

    def times(self, factors: tuple[float, ...]) -> "OneOutput":
        """The same of readings that were multiplied by a power of two."""
        (factor,) = factors
        least, most = sys.float_info.min, sys.float_info.max
        return replace(
            self,
            value=None if self.value is None else self.value * factor,
            within=min(max(self.within * factor, least), most) if self.within else 0.0,
            noise=min(self.noise * factor, most),
        )

    def worth(self, outputs: _Array) -> _Array:
        """See `Wanted`."""
        first: _Array = outputs[..., 0]
        if self.value is None:
            return first * (1.0 if self.goal == "maximise" else -1.0)
        distance = abs(first - self.value) / self.within
        near = distance.clip(None, 1.0)
        utility: _Array = near * (distance - near * 0.5) * -1.0
        return utility

    def score_rows(self, readings: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Wanted`."""
        return np.asarray(self.worth(readings), dtype=np.float64)

    def away(self, readings: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Wanted`."""
        first = readings[..., 0]
        return np.zeros_like(first) if self.value is None else np.abs(first - self.value)

    def reached(self, readings: NDArray[np.float64]) -> NDArray[np.bool_]:
        """See `Wanted`: within the tolerance."""
        if self.value is None:
            return np.zeros(readings.shape[:-1], dtype=np.bool_)
        return is_within(readings[..., 0], self.value, self.within)

    def shortfall(self, first: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Wanted`."""
        if self.value is not None:
            return np.asarray(np.abs(first - self.value), dtype=np.float64)
        short = first.max() - first if self.goal == "maximise" else first - first.min()
        return np.asarray(short, dtype=np.float64)

    def resolution(self, readings: NDArray[np.float64]) -> float:
        """See `Wanted`: a tolerance, or the standard deviation of the readings."""
        if self.value is not None:
            return 1.0
        known = readings[:, 0][~np.isnan(readings[:, 0])]
        return max(float(np.std(known)) if len(known) else 0.0, self.spread_floor[0])
