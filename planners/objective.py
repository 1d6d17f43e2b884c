"""What the chemist wants, as one number: the utility of a peak, a width and a yield."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planners.errors import PlannerError

if TYPE_CHECKING:
    from torch import Tensor

_Array = TypeVar("_Array", NDArray[np.float64], "Tensor")


@dataclass(frozen=True)
class Objective:
    """Emit at `target_peak_ev`, narrow and bright.

    With r = |peak - target| / tolerance, the utility (higher is better, at most `fwhm_weight + yield_weight`) is

        U = -h(r) + [fwhm_weight * s / (s + fwhm) + yield_weight * yield] / max(1, r)

    where s = `fwhm_scale_ev` and h is Huber's function, r^2/2 up to r = 1 and r - 1/2 beyond. Far from the target the
    peak decides alone: the quality term fades as 1/r while the distance grows as r. Within the tolerance h is flat and
    its worst loss is 1/2, so width and yield decide by their weights. U falls with r for any width and yield.

    Raises:
        PlannerError: a value that is not finite, a target, tolerance or width scale that is not positive, or a
            negative weight.
    """

    target_peak_ev: float
    tolerance_ev: float
    fwhm_weight: float = 0.25
    fwhm_scale_ev: float = 0.1
    yield_weight: float = 0.25

    def __post_init__(self) -> None:
        for name, value in (
            ("target_peak_ev", self.target_peak_ev),
            ("tolerance_ev", self.tolerance_ev),
            ("fwhm_scale_ev", self.fwhm_scale_ev),
        ):
            if not (math.isfinite(value) and value > 0):
                raise PlannerError(f"objective: {name} must be positive and finite, not {value!r}")
        for name, value in (("fwhm_weight", self.fwhm_weight), ("yield_weight", self.yield_weight)):
            if not (math.isfinite(value) and value >= 0):
                raise PlannerError(f"objective: {name} must be zero or positive and finite, not {value!r}")

    @property
    def best_possible(self) -> float:
        """The utility of a peak on target with no width and a yield of one."""
        return self.fwhm_weight + self.yield_weight

    def utility(self, peak_ev: _Array, fwhm_ev: _Array, quantum_yield: _Array) -> _Array:
        """U elementwise, for numpy arrays and torch tensors alike (the formula uses only what both have)."""
        distance = abs(peak_ev - self.target_peak_ev) / self.tolerance_ev
        near = distance.clip(None, 1.0)
        loss = near * (distance - near * 0.5)
        narrow = self.fwhm_weight * self.fwhm_scale_ev / (fwhm_ev.clip(0.0, None) + self.fwhm_scale_ev)
        bright = quantum_yield.clip(0.0, None) * self.yield_weight
        utility: _Array = (narrow + bright) / distance.clip(1.0, None) - loss
        return utility

    def score(self, peak_ev: ArrayLike, fwhm_ev: ArrayLike, quantum_yield: ArrayLike) -> NDArray[np.float64]:
        """U of raw values, broadcast together. A width or yield that is NaN earns nothing, a NaN peak gives NaN."""
        peak = np.asarray(peak_ev, dtype=np.float64)
        fwhm = np.asarray(fwhm_ev, dtype=np.float64)
        bright = np.asarray(quantum_yield, dtype=np.float64)
        fwhm = np.where(np.isnan(fwhm), np.inf, fwhm)
        bright = np.where(np.isnan(bright), 0.0, bright)
        peak, fwhm, bright = np.broadcast_arrays(peak, fwhm, bright)
        return np.asarray(self.utility(peak, fwhm, bright), dtype=np.float64)
