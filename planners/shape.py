"""A target spectrum: how far its light would have to be moved to become that of a reading.

Two spectra are compared as distributions of photons over photon energy, each of area 1, by the Wasserstein distance of
order 1, also called earth mover's distance (Rubner, Tomasi & Guibas, Int. J. Comput. Vis. 2000, 40, 99): the mean
displacement of a photon, in eV. A line that is shifted and nothing else is away by its shift, and unlike an overlap or
a cosine the distance still tells near from far where two lines do not meet.

In one dimension it is the integral over p from 0 to 1 of |Q(p) - T(p)| (Vallender, Theory Probab. Appl. 1974, 18, 784),
where Q and T are the energies below which a share p of the light lies. Surrogates predict Q at five shares, the nodes
of a Gauss-Legendre rule, and the integral is taken inside the acquisition: where the light lies varies smoothly with a
recipe, and the distance does not.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from planners.errors import PlannerError

if TYPE_CHECKING:
    from torch import Tensor

_Array = TypeVar("_Array", NDArray[np.float64], "Tensor")

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(5)
_ORDER = (2, 0, 1, 3, 4)
LIGHT_SHARES: tuple[float, ...] = tuple(0.5 + 0.5 * float(_NODES[i]) for i in _ORDER)
"""The shares of the light: one half first, then from the red end to the blue one."""
_LIGHT_WEIGHTS: tuple[float, ...] = tuple(0.5 * float(_WEIGHTS[i]) for i in _ORDER)
LIGHT_OUTPUTS: tuple[str, ...] = (
    "light_median_ev",
    *(f"light_{round(100 * share)}_percent_ev" for share in LIGHT_SHARES[1:]),
)
"""What is read of a spectrum: the energy below which half of the light lies, and how much further the energies below
which the other shares lie are. All of a line that only shifts is then in the first output."""


def light_outputs(energies_ev: NDArray[np.float64]) -> tuple[float, ...]:
    """The outputs, from the energies [5] below which the `LIGHT_SHARES` lie."""
    first = float(energies_ev[0])
    return (first, *(float(energy) - first for energy in energies_ev[1:]))


@dataclass(frozen=True)
class Shape:
    """The light of a target spectrum, as `LIGHT_OUTPUTS`, with the mean displacement that counts as reached.

    The utility is -h(distance / tolerance) with Huber's h as in `Objective`.

    Raises:
        PlannerError: light that is not five finite numbers, or a tolerance that is not positive and finite.
    """

    light_ev: tuple[float, ...]
    tolerance_ev: float

    def __post_init__(self) -> None:
        if len(self.light_ev) != len(LIGHT_OUTPUTS) or not all(math.isfinite(value) for value in self.light_ev):
            raise PlannerError(
                f"objective: light_ev must be {len(LIGHT_OUTPUTS)} finite numbers, not {self.light_ev!r}"
            )
        if not (math.isfinite(self.tolerance_ev) and self.tolerance_ev > 0):
            raise PlannerError(f"objective: tolerance_ev must be positive and finite, not {self.tolerance_ev!r}")

    @property
    def outputs(self) -> tuple[str, ...]:
        """See `Wanted`."""
        return LIGHT_OUTPUTS

    @property
    def least(self) -> tuple[float, ...]:
        """See `Wanted`."""
        return (0.0, *(-math.inf for _ in LIGHT_OUTPUTS[1:]))

    @property
    def most(self) -> tuple[float, ...]:
        """See `Wanted`."""
        return (math.inf,) * len(self.outputs)

    @property
    def target(self) -> float | None:
        """See `Wanted`: the energy below which half of the target's light lies."""
        return self.light_ev[0]

    @property
    def tolerance(self) -> float:
        """See `Wanted`."""
        return self.tolerance_ev

    @property
    def first_noise(self) -> tuple[float, float]:
        """See `Wanted`; as of a peak."""
        return (0.001, 0.0003)

    @property
    def other_noise(self) -> tuple[float, ...]:
        """See `Wanted`."""
        return tuple(0.0005 for _ in LIGHT_OUTPUTS[1:])

    @property
    def spread_floor(self) -> tuple[float, ...]:
        """See `Wanted`."""
        return (0.02, *(0.005 for _ in LIGHT_OUTPUTS[1:]))

    def displacement(self, outputs: _Array) -> _Array:
        """The distance [...] of light [..., 5] from the target's, eV."""
        shift = outputs[..., 0] - self.light_ev[0]
        total: _Array = abs(shift) * _LIGHT_WEIGHTS[0]
        for i in range(1, len(LIGHT_OUTPUTS)):
            total = total + abs(shift + (outputs[..., i] - self.light_ev[i])) * _LIGHT_WEIGHTS[i]
        return total

    def worth(self, outputs: _Array) -> _Array:
        """See `Wanted`."""
        distance = self.displacement(outputs) / self.tolerance_ev
        near = distance.clip(None, 1.0)
        utility: _Array = near * (distance - near * 0.5) * -1.0
        return utility

    def score_rows(self, readings: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Wanted`: of light that is known in part, the rest counts as lying where it should."""
        return np.asarray(self.worth(self._filled(readings)), dtype=np.float64)

    def away(self, readings: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Wanted`; as `score_rows`."""
        return np.asarray(self.displacement(self._filled(readings)), dtype=np.float64)

    def _filled(self, readings: NDArray[np.float64]) -> NDArray[np.float64]:
        known = ~np.isnan(readings) | (np.arange(readings.shape[-1]) == 0)
        return np.where(known, readings, np.array(self.light_ev))

    def reached(self, readings: NDArray[np.float64]) -> NDArray[np.bool_]:
        """See `Wanted`."""
        return np.asarray(self.away(readings) <= self.tolerance_ev, dtype=np.bool_)

    def shortfall(self, first: NDArray[np.float64]) -> NDArray[np.float64]:
        """See `Wanted`."""
        return np.asarray(np.abs(first - self.light_ev[0]), dtype=np.float64)

    def resolution(self, readings: NDArray[np.float64]) -> float:
        """See `Wanted`: the utility counts tolerances."""
        return 1.0

    def words(self, readings: NDArray[np.float64]) -> str:
        """What readings [5] come to; empty where they are not known."""
        if math.isnan(float(self.away(readings))):
            return ""
        off = self.off_words(readings)
        return f"light displaced by {off} on average, at most {1e3 * self.tolerance_ev:.1f} meV wanted"

    def off_words(self, readings: NDArray[np.float64]) -> str:
        """How far the nearest of readings [..., 5] is off, which is not known more exactly: five shares of the light
        stand for the whole of it."""
        off_mev = 1e3 * float(np.min(self.away(readings)))
        return f"about {off_mev:.{0 if off_mev >= 10.0 else 1}f} meV"
