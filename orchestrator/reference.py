"""Whether lamp and windows are still what they were: the lamp's own line through clean solvent, then and now.

A lamp that drifts and a film on the flow cell both shift it; no sample does, because it is read through solvent. Only
the fault benchmark asks it so far: the conductor sees solvent in its cell too rarely to be told in time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from orchestrator.symptoms import Symptom

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.spectra import OpticalLayout

    Array = NDArray[np.float64]

REFERENCE_SHIFT: Final = 0.10
"""Largest share by which the reference may have changed: more than a sound lamp drifts in a day."""


def lamp_line_rate(
    counts: Array, dark: Array, wavelengths_nm: Array, integration_s: float, layout: OpticalLayout
) -> float:
    """Counts per second in the lamp's own line; ``counts``, ``dark`` and ``wavelengths_nm`` have shape (pixels,)."""
    line = (wavelengths_nm >= layout.lamp_low_nm) & (wavelengths_nm <= layout.lamp_high_nm)
    return float((counts - dark)[line].sum()) / integration_s


class Reference:
    """The lamp's line as it was first read through solvent, in counts per second."""

    def __init__(self, first_rate: float) -> None:
        if not (math.isfinite(first_rate) and first_rate > 0.0):
            raise ValueError(f"there is no light in the lamp's own line: {first_rate:g} counts/s")
        self._first_rate = first_rate

    def note(self, rate: float) -> Symptom | None:
        """The same reading later, through solvent again. "reference shifted": lamp drift, or a fouled cell."""
        shift = rate / self._first_rate - 1.0
        if abs(shift) <= REFERENCE_SHIFT:
            return None
        return Symptom("reference shifted", round(100.0 * shift, 1), 100.0 * REFERENCE_SHIFT, "%")
