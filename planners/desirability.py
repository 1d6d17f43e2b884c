"""Peak, width and yield as desirabilities between 0 and 1, and the weighted geometric mean of them as the objective.

The shapes and the mean are those of Derringer & Suich (J. Qual. Technol. 1980, 12, 214), the weights in the mean those
of Derringer (Qual. Prog. 1994, 27, 51). Where one desirability is zero the mean is zero, whatever the others are; so
that a search knows its way even there, the utility goes on falling below zero with the lack.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from planners.errors import PlannerError
from planners.objective import OUTPUT_WORDS, PeakAimed

if TYPE_CHECKING:
    from torch import Tensor

_Array = TypeVar("_Array", NDArray[np.float64], "Tensor")


@dataclass(frozen=True)
class Desirable:
    """One desirability: 0 at `none_at` and beyond, 1 at `full_at` and beyond, ((y - none) / (full - none))^exponent
    between them; `weight` is its power in the mean.

    Raises:
        PlannerError: a value that is not finite, two ends that are the same, or an exponent or weight that is not
            positive.
    """

    full_at: float
    none_at: float
    weight: float = 1.0
    exponent: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.full_at) and math.isfinite(self.none_at)) or self.full_at == self.none_at:
            raise PlannerError(
                f"desirability: full_at {self.full_at!r} and none_at {self.none_at!r} must be finite and differ"
            )
        for name, value in (("weight", self.weight), ("exponent", self.exponent)):
            if not (math.isfinite(value) and value > 0):
                raise PlannerError(f"desirability: {name} must be positive and finite, not {value!r}")

    def share(self, values: _Array) -> _Array:
        """How far values have come from `none_at` to `full_at`: at most 1, below 0 beyond `none_at`."""
        share: _Array = ((values - self.none_at) / (self.full_at - self.none_at)).clip(None, 1.0)
        return share


def overall(parts: Sequence[tuple[Desirable, _Array]]) -> _Array:
    """The weighted geometric mean D of desirabilities, from how far each has come (see `Desirable.share`), where all of
    them are above zero; elsewhere minus the weighted mean of what is lacking."""
    total = sum(each.weight for each, _ in parts)
    mean = parts[0][1] * 0.0 + 1.0
    lack = parts[0][1] * 0.0
    for each, share in parts:
        power = each.exponent * each.weight / total
        mean = mean * share.clip(0.0, None) ** power
        lack = lack + share.clip(None, 0.0) * (each.weight / total)
    utility: _Array = mean + lack
    return utility


@dataclass(frozen=True)
class Desirability(PeakAimed):
    """The overall desirability of a peak, and of a width and a yield where they are given.

    The peak's desirability is two-sided: 1 on the target, 0 from `none_beyond_ev` away on. With D = (d_1^w_1 ... )^(1 /
    sum w) the utility is D where all desirabilities are above zero; elsewhere it is minus the weighted mean of what is
    lacking, in units of each desirability's own range and for width and yield at most 1. An absent width or yield lacks
    all of it. `enough` is the D that, with the peak inside the tolerance, counts as reached.

    Raises:
        PlannerError: see `PeakAimed` and `Desirable`; an `enough` outside of 0 to 1.
    """

    none_beyond_ev: float
    enough: float
    fwhm: Desirable | None = None
    quantum_yield: Desirable | None = None
    peak_weight: float = 1.0
    peak_exponent: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._positive(none_beyond_ev=self.none_beyond_ev)
        self._of_distance()
        if not 0.0 < self.enough <= 1.0:
            raise PlannerError(f"objective: enough must be above 0 and at most 1, not {self.enough!r}")

    def _of_distance(self) -> Desirable:
        return Desirable(0.0, self.none_beyond_ev, self.peak_weight, self.peak_exponent)

    def reached(self, readings: NDArray[np.float64]) -> NDArray[np.bool_]:
        """See `Wanted`: the peak inside the tolerance, and the overall desirability enough."""
        return np.asarray(super().reached(readings) & (self.score_rows(readings) >= self.enough), dtype=np.bool_)

    def resolution(self, readings: NDArray[np.float64]) -> float:
        """See `Wanted`: a fifth of the whole scale."""
        return 0.2

    def utility(self, peak_ev: _Array, fwhm_ev: _Array, quantum_yield: _Array) -> _Array:
        """See `PeakAimed`."""
        peak = self._of_distance()
        parts = [(peak, peak.share(abs(peak_ev - self.target_peak_ev)))]
        if self.fwhm is not None:
            parts.append((self.fwhm, self.fwhm.share(fwhm_ev).clip(-1.0, None)))
        if self.quantum_yield is not None:
            parts.append((self.quantum_yield, self.quantum_yield.share(quantum_yield).clip(-1.0, None)))
        return overall(parts)

    def parts(self, peak_ev: float, fwhm_ev: float | None, quantum_yield: float | None) -> Mapping[str, float]:
        """Each desirability of one reading by its output's name, and the mean of all as `overall`; each is 0 to 1."""

        def desirability(each: Desirable, value: float | None) -> float:
            return 0.0 if value is None else max(float(each.share(np.array(value))), 0.0) ** each.exponent

        found = {"peak_ev": desirability(self._of_distance(), abs(peak_ev - self.target_peak_ev))}
        if self.fwhm is not None:
            found["fwhm_ev"] = desirability(self.fwhm, fwhm_ev)
        if self.quantum_yield is not None:
            found["quantum_yield"] = desirability(self.quantum_yield, quantum_yield)
        missing = math.nan
        score = self.score(
            peak_ev,
            missing if fwhm_ev is None else fwhm_ev,
            missing if quantum_yield is None else quantum_yield,
        )
        return {**found, "overall": max(float(score), 0.0)}

    def words(self, readings: NDArray[np.float64]) -> str:
        """See `PeakAimed`: every desirability."""
        peak, fwhm, bright = (None if math.isnan(value) else float(value) for value in readings)
        if peak is None:
            return ""
        found = dict(self.parts(peak, fwhm, bright))
        overall = found.pop("overall")
        each = ", ".join(f"{OUTPUT_WORDS[name]} {value:.2f}" for name, value in found.items())
        return f"overall desirability {overall:.2f} ({each}), {self.enough:.2f} wanted"
