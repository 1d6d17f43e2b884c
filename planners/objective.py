"""What the chemist wants, as one number: the utility of a peak, a width and a yield."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from planners.errors import PlannerError

if TYPE_CHECKING:
    from torch import Tensor

_Array = TypeVar("_Array", NDArray[np.float64], "Tensor")

OUTPUTS = ("peak_ev", "fwhm_ev", "quantum_yield")
"""The raw outputs of a campaign, in the order of every output axis."""

OUTPUT_WORDS: Mapping[str, str] = MappingProxyType({"peak_ev": "peak", "fwhm_ev": "width", "quantum_yield": "yield"})
"""What they are called in sentences."""

Goal = Literal["target", "minimise", "maximise"]


class Wanted(Protocol):
    """What a strategy asks of an objective. The first output decides: without a reading of it an experiment failed."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the raw outputs that surrogates predict, in the order of every output axis: m."""
        ...

    @property
    def least(self) -> tuple[float, ...]:
        """The least value that each output can have [m]; minus infinity where there is none."""
        ...

    @property
    def most(self) -> tuple[float, ...]:
        """The largest value that each output can have [m]; infinity where there is none."""
        ...

    @property
    def target(self) -> float | None:
        """The wanted value of the first output; None for an extreme."""
        ...

    @property
    def tolerance(self) -> float:
        """How far from the target counts as reached; zero for an extreme."""
        ...

    @property
    def first_noise(self) -> tuple[float, float]:
        """Standard deviation of a reading of the first output that states none, and the least that one may state."""
        ...

    @property
    def other_noise(self) -> tuple[float, ...]:
        """Least standard deviation of a reading of each further output [m - 1]; more is fitted."""
        ...

    @property
    def spread_floor(self) -> tuple[float, ...]:
        """Least standard deviation that outputs are standardised by [m]: constant data must not look certain."""
        ...

    def worth(self, outputs: _Array) -> _Array:
        """Utility [...] of raw outputs [..., m], higher is better; for arrays and tensors."""
        ...

    def score_rows(self, readings: NDArray[np.float64]) -> NDArray[np.float64]:
        """Utility [...] of readings [..., m] in which outputs may be absent (NaN)."""
        ...

    def away(self, readings: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance of readings [..., m] from the target, in the unit of the tolerance [...]; zero for an extreme."""
        ...

    def reached(self, readings: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether readings [..., m] are all that is wanted [...]; never for an extreme."""
        ...

    def shortfall(self, first: NDArray[np.float64]) -> NDArray[np.float64]:
        """How much worse each value of the first output is than what is wanted, or than the best of them [n]."""
        ...

    def resolution(self, readings: NDArray[np.float64]) -> float:
        """The difference of utilities that matters, given readings [n, m]; positive."""
        ...


@dataclass(frozen=True)
class PeakAimed(ABC):
    """What all objectives of a campaign that aims at a peak have in common: a target, a tolerance, and three outputs.

    Raises:
        PlannerError: a target or tolerance that is not positive and finite.
    """

    target_peak_ev: float
    tolerance_ev: float

    def __post_init__(self) -> None:
        self._positive(target_peak_ev=self.target_peak_ev, tolerance_ev=self.tolerance_ev)

    @staticmethod
    def _positive(**values: float) -> None:
        for name, value in values.items():
            if not (math.isfinite(value) and value > 0):
                raise PlannerError(f"objective: {name} must be positive and finite, not {value!r}")

    @property
    def outputs(self) -> tuple[str, ...]:
        """See `Wanted`."""
        return OUTPUTS

    @property
    def least(self) -> tuple[float, ...]:
        """See `Wanted`."""
        return (0.0, 0.0, 0.0)

    @property
    def most(self) -> tuple[float, ...]:
        """See `Wanted`: no more light is emitted than absorbed."""
        return (math.inf, math.inf, 1.0)

    @property
    def target(self) -> float | None:
        """See `Wanted`."""
        return self.target_peak_ev

    @property
    def tolerance(self) -> float:
        """See `Wanted`."""
        return self.tolerance_ev

    @property
    def first_noise(self) -> tuple[float, float]:
        """See `Wanted`: a reading that states no noise, and one that claims less than any instrument repeats."""
        return (0.001, 0.0003)

    @property
    def other_noise(self) -> tuple[float, ...]:
        """See `Wanted`."""
        return (0.0005, 0.005)

    @property
    def spread_floor(self) -> tuple[float, ...]:
        """See `Wanted`."""
        return (0.02, 0.005, 0.02)

    def worth(self, outputs: _Array) -> _Array:
        """See `Wanted`."""
        return self.utility(outputs[..., 0], outputs[..., 1], outputs[..., 2])

    def score_rows(self, readings: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Wanted`."""
        return self.score(readings[..., 0], readings[..., 1], readings[..., 2])

    def away(self, readings: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Wanted`: of the peak."""
        return np.asarray(np.abs(readings[..., 0] - self.target_peak_ev), dtype=np.float64)

    def reached(self, readings: NDArray[np.float64]) -> NDArray[np.bool_]:
        """See `Wanted`: a peak within the tolerance."""
        return np.asarray(self.away(readings) <= self.tolerance_ev, dtype=np.bool_)

    def shortfall(self, first: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Wanted`."""
        return np.asarray(np.abs(first - self.target_peak_ev), dtype=np.float64)

    def resolution(self, readings: NDArray[np.float64]) -> float:
        """See `Wanted`: the utility counts tolerances."""
        return 1.0

    @abstractmethod
    def utility(self, peak_ev: _Array, fwhm_ev: _Array, quantum_yield: _Array) -> _Array:
        """The utility elementwise, for numpy arrays and torch tensors alike."""

    def words(self, readings: NDArray[np.float64]) -> str:
        """What readings [3] come to beside the peak, where there is more to say of it; may be empty."""
        return ""

    def score(self, peak_ev: ArrayLike, fwhm_ev: ArrayLike, quantum_yield: ArrayLike) -> NDArray[np.float64]:
        """The utility of readings: a width or yield that is NaN earns nothing, a NaN peak gives NaN."""
        peak = np.asarray(peak_ev, dtype=np.float64)
        fwhm = np.asarray(fwhm_ev, dtype=np.float64)
        bright = np.asarray(quantum_yield, dtype=np.float64)
        fwhm = np.where(np.isnan(fwhm), np.inf, fwhm)
        bright = np.where(np.isnan(bright), 0.0, bright)
        peak, fwhm, bright = np.broadcast_arrays(peak, fwhm, bright)
        return np.asarray(self.utility(peak, fwhm, bright), dtype=np.float64)


@dataclass(frozen=True)
class Objective(PeakAimed):
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

    fwhm_weight: float = 0.25
    fwhm_scale_ev: float = 0.1
    yield_weight: float = 0.25

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive(fwhm_scale_ev=self.fwhm_scale_ev)
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
