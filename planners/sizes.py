"""Outputs in units of any size: the same request with readings of a usual size, and the way back to their own units.

Libraries of Gaussian processes and of trees take variances below a fixed number for none, and searches stop at steps
that they hold for nothing: an output read in amperes or moles would seem never to change. So an output whose readings
are all very small, or any very large, is learnt in another unit: all that is in its unit is multiplied by a power of
two, which is exact. Outputs of a usual size stay as they are, and so do those of campaigns, whose units are known.
"""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from planners.evidence import Measured
from planners.one_output import OneOutput
from planners.records import Observation, Request
from planners.several import SeveralOutputs

if TYPE_CHECKING:
    from planners.modelled import Belief, Fitted

_LEAST, _MOST = 2.0**-10, 2.0**30
"""The usual size of the largest of some numbers."""
_LARGEST_EXPONENT = 1000


def factor_to_usual_size(size: float) -> float:
    """The power of two by which a positive number comes to lie between a half and one; 1 where its size is a usual one,
    or it is zero."""
    if size == 0.0 or _LEAST <= size <= _MOST:
        return 1.0
    return math.ldexp(1.0, min(-math.frexp(size)[1], _LARGEST_EXPONENT))


@dataclass(frozen=True)
class Sized:
    """A request as it was made (`raw`), and the same with each output multiplied by its factor [m]."""

    raw: Request
    request: Request
    factors: tuple[float, ...]

    @classmethod
    def of(cls, request: Request) -> "Sized":
        """The request with readings of a usual size."""
        objective = request.objective
        as_it_is = cls(request, request, (1.0,) * len(objective.outputs))
        if not isinstance(objective, OneOutput | SeveralOutputs):
            return as_it_is
        readings = np.array([o.readings for o in request.known() if not o.failed]).reshape(-1, len(objective.outputs))
        largest = np.max(np.nan_to_num(np.abs(readings)), axis=0, initial=0.0)
        factors = tuple(
            factor_to_usual_size(max(float(size), said)) if size > 0.0 else 1.0
            for size, said in zip(largest, objective.sizes, strict=True)
        )
        if all(factor == 1.0 for factor in factors):
            return as_it_is
        archives = tuple(replace(a, observations=_times(a.observations, factors)) for a in request.archives)
        sized = replace(
            request,
            objective=objective.times(factors),
            observations=_times(request.observations, factors),
            archives=archives,
        )
        return cls(request, sized, factors)

    def belief(self, belief: "Belief") -> "Belief":
        """A model's view, in the units of the request as it was made."""
        factors = np.array(self.factors)
        utility = belief.utility / self._of_utility
        return replace(belief, mean=belief.mean / factors, sd=belief.sd / factors, utility=utility)

    def measured(self, measured: Measured) -> Measured:
        """What was measured, in the units of the request as it was made."""
        readings = measured.readings / np.array(self.factors)
        return replace(measured, readings=readings, first_error=measured.first_error / self.factors[0])

    def first(self, draws: NDArray[np.float64] | None) -> NDArray[np.float64] | None:
        """The first output [M, N] of draws [M, N, m], in the units of the request as it was made."""
        return None if draws is None else np.asarray(draws[..., 0] / self.factors[0], dtype=np.float64)

    def moved(self, fitted: "Fitted") -> NDArray[np.float64] | None:
        """See `planners.modelled.Fitted.moved`, in the units of the request as it was made."""
        return None if fitted.moved is None else fitted.moved / self.factors[0]

    def acquisition(self, value: float, fitted: "Fitted") -> float:
        """The value of an acquisition function, in the units of the request as it was made."""
        factor = self.factors[0] if fitted.of_first_output else self._of_utility
        return value - math.log(factor) if fitted.logarithmic else value / factor

    @property
    def _of_utility(self) -> float:
        """By how much utilities were multiplied: that of an extreme of one output is in its unit, others in none."""
        objective = self.raw.objective
        return self.factors[0] if isinstance(objective, OneOutput) and objective.target is None else 1.0


def _times(observations: tuple[Observation, ...], factors: tuple[float, ...]) -> tuple[Observation, ...]:
    return tuple(
        replace(
            o,
            values=None if o.values is None else tuple(v * f for v, f in zip(o.values, factors, strict=True)),
            peak_sd_ev=None if o.peak_sd_ev is None else o.peak_sd_ev * factors[0],
        )
        for o in observations
    )
