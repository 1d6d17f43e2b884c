"""Spectral shape: where the light of a spectrum lies, and how far that is from where the light of a target lies.

Pure functions of arrays. A spectrum without its baseline becomes a distribution of photons over photon energy; two of
them are compared by the mean displacement of a photon (see `planners.shape`) and, for people, by how much of their
light they share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from orchestrator.spectra.analysis import Frames, OpticalLayout, emission_counts, find_line, mean_and_error
from orchestrator.spectra.finer_axis import pixel_widths_nm
from orchestrator.units import HC_EV_NM

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

FLANK: Final = 0.02
"""Light below this share of the brightest is left out, of readings and targets alike: a baseline must not count."""
SMOOTHED_PIXELS: Final = 9
GRID_EV: Final = 0.002
"""Width of the cells in which shared light is counted."""
MOST_NEGATIVE: Final = -0.05
MOST_AT_THE_END: Final = 0.05
MOST_OUTSIDE: Final = 0.01


class NoTargetError(ValueError):
    """A text that is no target spectrum; says why."""


@dataclass(frozen=True)
class Light:
    """Photons over photon energy. Of the light ``share`` (n + 1,), 0 to 1, lies below ``energy_ev`` (n + 1,)."""

    energy_ev: Array
    share: Array

    def energies_ev(self, shares: tuple[float, ...]) -> Array:
        """The energies below which these shares of the light lie."""
        import numpy as np

        return np.asarray(np.interp(shares, self.share, self.energy_ev))

    def below(self, energy_ev: Array | float) -> Array:
        """The share of the light below these energies."""
        import numpy as np

        return np.asarray(np.interp(energy_ev, self.energy_ev, self.share))


@dataclass(frozen=True)
class TargetSpectrum:
    """A target: its light, the energy at which it is brightest, and its points (wavelengths in nm, intensities)."""

    light: Light
    peak_ev: float
    wavelengths_nm: tuple[float, ...]
    intensities: tuple[float, ...]


@dataclass(frozen=True)
class ShapeReading:
    """The shape of one measurement.

    ``light``: `planners.shape.LIGHT_OUTPUTS` by name, in eV. ``distance_ev``: mean displacement of its light from the
    target's, with the standard error over the repeats. ``overlap``: the share of light that both have in common.
    """

    light: Mapping[str, float]
    distance_ev: float
    distance_sd_ev: float
    overlap: float

    @property
    def data(self) -> dict[str, Any]:
        """As the journal keeps it."""
        return {
            "light": dict(self.light),
            "distance_ev": self.distance_ev,
            "distance_sd_ev": self.distance_sd_ev,
            "overlap": self.overlap,
        }


def light_of(wavelengths_nm: Array, photons: Array) -> Light | None:
    """Where the light of a spectrum lies, from the photons in each of its pixels (n,); None where there are none."""
    import numpy as np

    kept = np.clip(photons, 0.0, None)
    total = float(kept.sum())
    if not total > 0.0:
        return None
    middles = 0.5 * (wavelengths_nm[1:] + wavelengths_nm[:-1])
    first = wavelengths_nm[0] - 0.5 * (wavelengths_nm[1] - wavelengths_nm[0])
    last = wavelengths_nm[-1] + 0.5 * (wavelengths_nm[-1] - wavelengths_nm[-2])
    edges = np.concatenate(([first], middles, [last]))
    share = np.concatenate(([0.0], np.cumsum(kept[::-1]) / total))
    return Light(HC_EV_NM / edges[::-1], share)


def distance_ev(one: Light, other: Light) -> float:
    """Mean displacement of a photon from one to the other: the area between their shares below each energy."""
    import numpy as np

    energy = np.union1d(one.energy_ev, other.energy_ev)
    gap = one.below(energy) - other.below(energy)
    width, left, right = np.diff(energy), gap[:-1], gap[1:]
    size = np.abs(left) + np.abs(right)
    crossing = np.where(left * right < 0.0, (left**2 + right**2) / np.where(size > 0.0, size, 1.0), size)
    return float(np.sum(0.5 * width * crossing))


def overlap(one: Light, other: Light) -> float:
    """The share of light that both have in common, 0 to 1, by cells of `GRID_EV` (the intersection of histograms of
    Swain & Ballard, Int. J. Comput. Vis. 1991, 7, 11)."""
    import numpy as np

    low = min(one.energy_ev[0], other.energy_ev[0])
    high = max(one.energy_ev[-1], other.energy_ev[-1])
    edges = np.arange(low, high + GRID_EV, GRID_EV)
    return float(np.minimum(np.diff(one.below(edges)), np.diff(other.below(edges))).sum())


def read_shape(frames: Frames, layout: OpticalLayout, target: Light) -> ShapeReading | None:
    """The shape of a measurement's emission; None where there is no light.

    Pixels count whose smoothed emission is above `FLANK` of the brightest, and above the noise.
    """
    import numpy as np

    from planners.shape import LIGHT_OUTPUTS, LIGHT_SHARES, light_outputs

    dark = np.mean(frames.darks, axis=0)
    emissions = [emission_counts(frames, sample, dark, layout)[0] for sample in frames.samples]
    mean = _light(frames.wavelengths_nm, np.mean(emissions, axis=0), layout)
    each = [_light(frames.wavelengths_nm, emission, layout) for emission in emissions]
    if mean is None:
        return None
    _, error = mean_and_error([distance_ev(light, target) for light in each if light is not None] or [0.0])
    outputs = light_outputs(mean.energies_ev(LIGHT_SHARES))
    return ShapeReading(
        dict(zip(LIGHT_OUTPUTS, outputs, strict=True)), distance_ev(mean, target), error, overlap(mean, target)
    )


def _light(wavelengths_nm: Array, emission: Array, layout: OpticalLayout) -> Light | None:
    import numpy as np

    window = (wavelengths_nm >= layout.emission_low_nm) & (wavelengths_nm <= layout.emission_high_nm)
    counts = emission[window]
    smooth = np.convolve(np.pad(counts, SMOOTHED_PIXELS // 2, mode="edge"), np.ones(SMOOTHED_PIXELS), "valid")
    smooth = smooth / SMOOTHED_PIXELS
    noise = 1.4826 * float(np.median(np.abs(np.diff(counts)))) / math.sqrt(2.0)
    seen = smooth > max(FLANK * float(smooth.max()), noise)
    return light_of(wavelengths_nm[window], np.where(seen, counts, 0.0))


@lru_cache(maxsize=8)
def target_of(text: str) -> TargetSpectrum:
    """A target spectrum from text of two columns, wavelength in nm and photons (or counts) per nm.

    Raises NoTargetError for what is no spectrum, has a baseline, is cut off at an end, or holds no light.
    """
    import numpy as np

    from drivers import DriverError
    from drivers.spectrum_files import parse_spectrum

    try:
        spectrum = parse_spectrum(text.encode())
    except DriverError as error:
        raise NoTargetError(f"no spectrum: {error}") from None
    wavelengths, values = spectrum.wavelengths_nm, spectrum.intensities
    most = float(values.max())
    if not most > 0.0:
        raise NoTargetError("the spectrum holds no light")
    if float(values.min()) < MOST_NEGATIVE * most:
        at = wavelengths[int(np.argmin(values))]
        raise NoTargetError(f"negative light at {at:g} nm ({values.min():.3g}): take the baseline off first")
    for where, value in ((wavelengths[0], values[:3].mean()), (wavelengths[-1], values[-3:].mean())):
        if value > MOST_AT_THE_END * most:
            raise NoTargetError(
                f"at its end at {where:g} nm there is still {100.0 * value / most:.0f} % of the brightest light: "
                "it is cut off there, or has a baseline that must be taken off first"
            )
    light = light_of(wavelengths, np.where(values > FLANK * most, values, 0.0) * np.gradient(wavelengths))
    if light is None:
        raise NoTargetError("the spectrum holds no light")
    layout = OpticalLayout(emission_low_nm=float(wavelengths[0]), emission_high_nm=float(wavelengths[-1]))
    line = find_line(wavelengths, values * pixel_widths_nm(wavelengths), layout)
    brightest = HC_EV_NM / float(wavelengths[int(np.argmax(values * wavelengths**2))])
    peak_ev = brightest if line is None else line.peak_ev
    return TargetSpectrum(light, peak_ev, tuple(float(v) for v in wavelengths), tuple(float(v) for v in values))


def outside(target: TargetSpectrum, low_nm: float, high_nm: float) -> float:
    """The share of a target's light outside of a window of wavelengths."""
    light = target.light
    return float(light.below(HC_EV_NM / high_nm) + 1.0 - light.below(HC_EV_NM / low_nm))


def canonical(data: bytes) -> str:
    """A spectrum's file as text of two columns that reads the same everywhere. Raises NoTargetError."""
    from drivers import DriverError
    from drivers.spectrum_files import parse_spectrum

    try:
        spectrum = parse_spectrum(data)
    except DriverError as error:
        raise NoTargetError(f"no spectrum: {error}") from None
    points = zip(spectrum.wavelengths_nm, spectrum.intensities, strict=True)
    return "".join(f"{float(nm)!r},{float(value)!r}\n" for nm, value in points)
