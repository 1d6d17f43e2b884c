"""Peak, width and yield in an order of importance: each counts only once those before it are as they should be.

A lexicographic order with thresholds, as in Chimera (Häse, Roch & Aspuru-Guzik, Chem. Sci. 2018, 9, 7642): what is
beyond a threshold earns nothing more, and the next objective decides. Chimera scales by the best seen so far; here each
threshold is the chemist's own number, so that a score means the same throughout a campaign.
"""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from planners.errors import PlannerError
from planners.objective import OUTPUT_WORDS, PeakAimed

if TYPE_CHECKING:
    from torch import Tensor

_Array = TypeVar("_Array", NDArray[np.float64], "Tensor")

_MARGIN = 0.02
"""Recipes are looked for that are inside each bound by this share of it: on the very edge a repeat is out as often as
in."""
_PEAK_MARGIN_EV = 0.002
"""The same for the peak, at most half of the tolerance."""
_QUARTER = 0.25
_OPEN_RESOLUTION = 0.05
"""Where the last step is without a bound, the differences that matter are those between good recipes: a width of 80 or
85 meV, a yield of 70 or 75 %."""
_HALF_WIDTH_EV = 0.1
"""A width that is to be as small as possible: at this one half is earned."""


@dataclass(frozen=True)
class Step:
    """One of the objectives after the peak: a width at most `bound`, or a yield at least `bound`; without a bound as
    small, or as large, as possible.

    Raises:
        PlannerError: a bound that is not positive and finite.
    """

    output: Literal["fwhm_ev", "quantum_yield"]
    bound: float | None = None

    def __post_init__(self) -> None:
        if self.bound is not None and not (math.isfinite(self.bound) and self.bound > 0):
            raise PlannerError(f"objective: the bound of {self.output} must be positive and finite, not {self.bound!r}")

    def earned(self, values: _Array, margin: float) -> _Array:
        """From 0 to 1; 1 where the bound is met with its margin, and beyond that half at a quarter of the bound."""
        if self.bound is None:
            if self.output == "quantum_yield":
                open_end: _Array = values.clip(0.0, 1.0)
            else:
                open_end = _HALF_WIDTH_EV / (values.clip(0.0, None) + _HALF_WIDTH_EV)
            return open_end
        sign = 1.0 if self.output == "fwhm_ev" else -1.0
        excess = ((values - self.bound * (1.0 - sign * margin)) * sign / (_QUARTER * self.bound)).clip(0.0, None)
        earned: _Array = 1.0 / (excess + 1.0)
        return earned

    def met(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether readings are within the bound; all are that are there, where there is none."""
        if self.bound is None:
            return np.asarray(~np.isnan(values), dtype=np.bool_)
        inside = values <= self.bound if self.output == "fwhm_ev" else values >= self.bound
        return np.asarray(inside, dtype=np.bool_)


@dataclass(frozen=True)
class InOrder(PeakAimed):
    """First the peak within its tolerance, then the steps in their order.

    The utility counts what is as it should be, and adds what the first that is not has earned: at most k + 1 with k
    steps. While the peak is off, it is 1 minus the distance beyond the tolerance in tolerances, so it may be negative.
    With `margins`, as for recipes that are looked for, each bound is met only a little inside of it.

    Raises:
        PlannerError: see `PeakAimed`; no step, an output twice, or a step after one without a bound.
    """

    steps: tuple[Step, ...]
    margins: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        outputs = [step.output for step in self.steps]
        if not outputs or len(set(outputs)) < len(outputs):
            raise PlannerError("objective: an order needs steps, each of another output")
        if any(step.bound is None for step in self.steps[:-1]):
            raise PlannerError("objective: only the last step can be without a bound")

    @property
    def as_read(self) -> "InOrder":
        """The same order for readings that are there: a recipe inside its bounds is inside, however narrowly."""
        return replace(self, margins=False)

    @property
    def last(self) -> Step | None:
        """The step without a bound, if there is one."""
        return self.steps[-1] if self.steps[-1].bound is None else None

    def reached(self, readings: NDArray[np.float64]) -> NDArray[np.bool_]:
        """See `Wanted`: the peak within the tolerance, and every bound met."""
        found = super().reached(readings)
        for step in self.steps:
            found = found & step.met(readings[..., self.outputs.index(step.output)])
        return found

    def resolution(self, readings: NDArray[np.float64]) -> float:
        """See `Wanted`: half of what one step earns; less where the last one is without a bound."""
        return 0.5 if self.last is None else _OPEN_RESOLUTION

    def utility(self, peak_ev: _Array, fwhm_ev: _Array, quantum_yield: _Array) -> _Array:
        """See `PeakAimed`."""
        allowed = self.tolerance_ev - (min(_PEAK_MARGIN_EV, 0.5 * self.tolerance_ev) if self.margins else 0.0)
        beyond = (abs(peak_ev - self.target_peak_ev) / allowed - 1.0).clip(0.0, None)
        utility: _Array = beyond * -1.0 + 1.0
        gate = (beyond <= 0.0) * 1.0
        for step in self.steps:
            values = fwhm_ev if step.output == "fwhm_ev" else quantum_yield
            earned = step.earned(values, _MARGIN if self.margins else 0.0)
            utility = utility + gate * earned
            gate = gate * (earned >= 1.0)
        return utility

    def words(self, readings: NDArray[np.float64]) -> str:
        """See `PeakAimed`: each step beside what is wanted of it."""
        said = []
        for step in self.steps:
            value = float(readings[self.outputs.index(step.output)])
            known = "unread" if math.isnan(value) else _amount(step.output, value)
            if step.bound is None:
                wanted = "as small as possible" if step.output == "fwhm_ev" else "as high as possible"
            else:
                wanted = f"at {'most' if step.output == 'fwhm_ev' else 'least'} {_amount(step.output, step.bound)}"
            said.append(f"{OUTPUT_WORDS[step.output]} {known} (wanted {wanted})")
        return ", ".join(said)


def _amount(output: str, value: float) -> str:
    return f"{1e3 * value:.0f} meV" if output == "fwhm_ev" else f"{100.0 * value:.0f} %"
