"""Whether lamp and windows are still what they were: the lamp's own line through clean solvent, then and now.

A lamp that drifts and a film on the flow cell both shift it; no sample does, because it is read through solvent.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.spectra.analysis import OpticalLayout

    Array = NDArray[np.float64]

REFERENCE_SHIFT: Final = 0.10
"""Largest share by which the reference may have changed since the blank: more than a sound lamp drifts in a day."""
LOST_SHARE: Final = 0.5
"""With less of its first light than this, or more by the inverse, cell and lamp are no longer the same instrument."""


def lamp_line_rate(
    counts: Array, dark: Array, wavelengths_nm: Array, integration_s: float, layout: OpticalLayout
) -> float:
    """Counts per second in the lamp's own line; ``counts``, ``dark`` and ``wavelengths_nm`` have shape (pixels,)."""
    line = (wavelengths_nm >= layout.lamp_low_nm) & (wavelengths_nm <= layout.lamp_high_nm)
    return float((counts - dark)[line].sum()) / integration_s


@dataclass(frozen=True)
class Checked:
    """One look at the reference. ``shift``: its change since the blank in force, ``shift_in_all`` since the first one.

    ``outcome``: "steady" within the bound; "shifted" beyond it; "lost" where little of the first light is left.
    """

    outcome: Literal["steady", "shifted", "lost"]
    shift: float
    shift_in_all: float


class Reference:
    """The lamp's line as it was read through solvent with the first blank and with the newest, in counts per second.

    Raises ValueError for a blank without light in that line.
    """

    def __init__(self, first_rate: float, bound: float = REFERENCE_SHIFT) -> None:
        self._first_rate = self._blank_rate = _lit(first_rate)
        self._bound = bound

    def renew(self, rate: float) -> None:
        """The blank has been read again; from now on it is what counts. Raises ValueError as the constructor does."""
        self._blank_rate = _lit(rate)

    def check(self, rate: float) -> Checked:
        """The line as it is read now, through solvent again."""
        shift, in_all = rate / self._blank_rate - 1.0, rate / self._first_rate - 1.0
        if not LOST_SHARE <= 1.0 + in_all <= 1.0 / LOST_SHARE:
            return Checked("lost", shift, in_all)
        return Checked("steady" if abs(shift) <= self._bound else "shifted", shift, in_all)


def _lit(rate: float) -> float:
    if not (math.isfinite(rate) and rate > 0.0):
        raise ValueError(f"there is no light in the lamp's own line: {rate:g} counts/s")
    return rate
