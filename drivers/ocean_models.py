"""What differs between Ocean Optics spectrometers, and what they say of themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from drivers.errors import OutOfRangeError, RefusedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST_INTEGRATION_S: Final = {"USB2000PLUS": 65.0, "FLAMES": 65.0, "USB4000": 65.0}
"""The data sheets' limits where seabreeze's tables allow more. A Flame-T calls itself USB4000."""
STATUS_IN_MICROSECONDS: Final = frozenset({"USB2000PLUS", "FLAMES", "USB4000"})
"""Models whose status (opcode 0xFE) gives the integration time in µs, so that it can be read back."""


SEABREEZE_MODELS: Final = {
    "USB2000+": "USB2000PLUS",
    "Flame-S": "FLAMES",
    "USB4000": "USB4000",
    "Flame-T": "USB4000",
    "STS": "STS",
    "QE Pro": "QEPRO",
    "HDX": "HDX",
}
"""Models by the name on the box, and as seabreeze calls them."""


@dataclass(frozen=True)
class SpectrometerIdentity:
    """What the spectrometer says of itself. An integration time t is valid for low <= t < high.

    ``dark_pixels`` are the indices of the pixels that see no light; empty where the model has none coded (STS, HDX).
    ``nonlinearity`` is the polynomial c0, c1, ... of the factory's linearity calibration; empty where seabreeze reads
    none (USB4000, STS, QE Pro) or it was never written.
    """

    model: str
    serial_number: str
    pixels: int
    full_scale_counts: float
    integration_range_s: tuple[float, float]
    dark_pixels: tuple[int, ...] = ()
    nonlinearity: tuple[float, ...] = ()

    def __str__(self) -> str:
        low, high = self.integration_range_s
        return (
            f"{self.model} {self.serial_number}, {self.pixels} pixels, full scale {self.full_scale_counts:g} counts, "
            f"{low:g} to {high:g} s"
        )


@dataclass(frozen=True)
class LampLine:
    """What hangs on the spectrometer's lamp-enable line.

    ``mode`` says what the light is for: "emission" excites from the side, and without it the cell is dark; "absorption"
    shines through the cell onto the slit, and its dark is a closed shutter. The driver treats both alike; whoever
    analyses the spectra needs to know. ``high_is_on`` False is a shutter that a high line closes. ``settle_s`` is how
    long the light takes to be steady; ``set_lamp`` waits for it. ``wired`` False is a lamp that always burns: switching
    it off is refused.
    """

    mode: Literal["emission", "absorption"] = "emission"
    high_is_on: bool = True
    settle_s: float = 0.0
    wired: bool = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.settle_s) and self.settle_s >= 0.0):
            raise OutOfRangeError("settling time in s", low=0, high=math.inf, asked=self.settle_s)


def corrected(
    counts: NDArray[np.float64], identity: SpectrometerIdentity, *, dark_pixels: bool = True, nonlinearity: bool = True
) -> NDArray[np.float64]:
    """Raw counts less the mean of the dark pixels, and divided by the linearity polynomial of what is left.

    As seabreeze does it: the polynomial is of counts above dark, and without ``dark_pixels`` the dark level is put
    back. Judge saturation on raw counts: corrected ones end elsewhere. Raises RefusedError for what the model lacks.
    """
    import numpy as np

    if dark_pixels and not identity.dark_pixels:
        raise RefusedError(f"a {identity.model} has no dark pixels coded", device=identity.serial_number)
    if nonlinearity and not identity.nonlinearity:
        raise RefusedError(f"a {identity.model} gives no linearity polynomial", device=identity.serial_number)
    dark = float(np.mean(counts[list(identity.dark_pixels)])) if identity.dark_pixels else 0.0
    above: NDArray[np.float64] = counts - dark
    if nonlinearity:
        above = above / np.polynomial.polynomial.polyval(above, np.asarray(identity.nonlinearity))
    return above if dark_pixels else above + dark
