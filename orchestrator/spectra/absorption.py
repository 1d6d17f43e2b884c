"""Spectral analysis of white light through the cell: counts to the absorption line, its width and its absorbance.

Pure functions of arrays. ``dark``: shutter closed, ``blank``: solvent in the cell (I0), ``sample``: the product. Then

    A(lambda) = -log10((sample - dark) / (t * blank)),

where t is the share of the light that passes in a band where the sample is clear (``lamp_low_nm`` to ``lamp_high_nm``
of the layout): it takes out what weakens all colours alike, a lamp that drifts or a film on the windows. Shot noise n
of the counts becomes n / (I ln 10) of absorbance. The line is the first maximum of A from the red: with nanocrystals
the lowest exciton, on whose blue side the continuum begins. Its width is therefore twice the half width of the red
flank, as is the practice for quantum dots (for example W. W. Yu et al., Chem. Mater. 2003, 15, 2854).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from orchestrator.spectra.analysis import (
    Analysis,
    Frames,
    OpticalLayout,
    QualityRules,
    brightest_fraction,
    mean_and_error,
    steady,
    transmitted_share,
)
from orchestrator.spectra.finer_axis import (
    FEWEST_PIXELS,
    PARTS,
    SPIKE_PIXELS,
    between_pixels,
    covariance_factor,
    moving_average,
    pixel_noise,
)
from orchestrator.units import HC_EV_NM

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SMOOTHED_POINTS: Final = 15
"""So many of the absorbance over energy are averaged."""
FEWEST_POINTS: Final = 3 * SMOOTHED_POINTS
"""So many a line must have within its width. With no more, the average makes a Gaussian 2.5 % too broad."""
DIP: Final = 0.02
"""A maximum is one when the absorbance behind it falls by this share of its height, and by three times the noise."""
MOST_ABSORBANCE: Final = 2.0
"""Beyond it stray light and the detector's own noise decide: 1 % of the light is left. Assumed."""
FAINTEST_COUNTS: Final = 5.0
"""Light fainter than so many times its noise says nothing."""
CLEAR_BAND: Final = (0.5, 1.15)
"""What may pass in the clear band, against the blank, of a cell without a bubble. Assumed."""
_APEX_SPAN: Final = 0.75
"""How far around the maximum the polynomial is fitted, in half widths."""


@dataclass(frozen=True)
class AbsorptionLine:
    """One absorption line: its apex and the apex's standard error, its full width, all in eV, and its absorbance.

    ``pixels``: how many of the detector's lie within its width.
    """

    peak_ev: float
    peak_sd_ev: float
    fwhm_ev: float
    absorbance: float
    pixels: float


@dataclass(frozen=True)
class Absorbance:
    """Absorbance over photon energy, from red to blue; shapes (pixels of the window,).

    ``smooth``: a moving average. ``noise``: standard deviation of one value of ``smooth``. ``opaque``: up to which
    index from the red the light is enough to tell; what is bluer is not looked at.
    """

    energy_ev: Array
    values: Array
    smooth: Array
    noise: float
    opaque: int


def absorbance_of(frames: Frames, sample: Array, dark: Array, layout: OpticalLayout) -> tuple[Absorbance | None, float]:
    """Absorbance of one sample frame, None where there is no light to tell by, and the clear band's share t."""
    import numpy as np

    if frames.blank_rate is None:
        raise ValueError("absorbance needs a blank")
    net = sample - dark
    blank = frames.blank_rate * frames.integration_s
    share = transmitted_share(net, blank, sample < 0.98 * layout.full_scale, frames.wavelengths_nm, layout)
    if share <= 0.0:
        return None, share
    window = (frames.wavelengths_nm >= layout.emission_low_nm) & (frames.wavelengths_nm <= layout.emission_high_nm)
    red_first = np.flatnonzero(window)[::-1]
    light, incident = net[red_first], blank[red_first] * share
    light_noise = pixel_noise(light)
    enough = (incident > 0.0) & (moving_average(light, SMOOTHED_POINTS) > FAINTEST_COUNTS * light_noise)
    passes = np.where(enough, np.maximum(light, light_noise) / np.where(incident > 0.0, incident, 1.0), 1.0)
    values = np.where(enough, -np.log10(passes), MOST_ABSORBANCE)
    smooth = moving_average(values, SMOOTHED_POINTS)
    dim = np.flatnonzero(~enough | (smooth >= MOST_ABSORBANCE))
    noise = pixel_noise(values) / math.sqrt(SMOOTHED_POINTS)
    energy = HC_EV_NM / frames.wavelengths_nm[red_first]
    return Absorbance(energy, values, smooth, noise, int(dim[0]) if dim.size else smooth.size), share


def find_absorption_line(spectrum: Absorbance) -> AbsorptionLine | None:
    """The first maximum from the red that is one beyond noise; None where there is none before the light ends.

    The apex is that of a cubic fitted to the absorbance around it; its error follows from the fit's covariance.
    """
    seen = _first_line(spectrum)
    if seen is None or seen.points < SPIKE_PIXELS * seen.parts:
        return None
    return _fitted(seen, spectrum.noise * math.sqrt(SMOOTHED_POINTS))


@dataclass(frozen=True)
class _Seen:
    """A maximum at index ``top`` of an axis on which it has points enough, ``parts`` of them to a pixel."""

    energy_ev: Array
    values: Array
    top: int
    half_ev: float
    points: int
    parts: int


def _first_line(spectrum: Absorbance) -> _Seen | None:
    """Where the first maximum is, on an axis as fine as its width needs; None where there is none."""
    import numpy as np

    light = slice(0, spectrum.opaque)
    pixels_ev, pixels = spectrum.energy_ev[light], spectrum.values[light]
    energy, values, smooth = pixels_ev, pixels, spectrum.smooth[light]
    near: slice | None = None
    for parts in PARTS:
        if parts > 1:
            energy, values = between_pixels(pixels_ev, parts), between_pixels(pixels, parts)
            smooth = moving_average(values, SMOOTHED_POINTS)
        unseen = near is None
        if near is None:
            near = _first_maximum(smooth, spectrum.noise * math.sqrt(parts))
            if near is None:
                continue
        top = near.start + int(np.argmax(smooth[near]))
        half_ev = _red_half_width(energy, smooth, top)
        if half_ev is None:
            return None
        foot = int(np.searchsorted(energy, energy[top] - half_ev))
        points = 2 * (top - foot)
        if unseen and parts > 1 and points >= 2 * FEWEST_POINTS:
            return None  # So broad a line the wider average would have seen: it is noise on a shoulder.
        if points >= FEWEST_POINTS or parts == PARTS[-1]:
            return _Seen(energy, values, top, half_ev, points, parts)
        near = slice(2 * foot, 2 * near.stop - 1)
    return None


def _fitted(seen: _Seen, noise: float) -> AbsorptionLine | None:
    """The apex of a cubic around a maximum; None if it has none there. ``noise``: of one pixel."""
    import numpy as np

    energy, top, half_ev = seen.energy_ev, seen.top, seen.half_ev
    near = np.flatnonzero(np.abs(energy - energy[top]) <= _APEX_SPAN * half_ev)
    if near.size < 8:
        return None
    x = (energy[near] - energy[top]) / half_ev
    values = seen.values[near]
    coefficients, covariance = np.polyfit(x, values, 3, cov=True)
    residual = values - np.polyval(coefficients, x)
    covariance = covariance * covariance_factor(float(residual @ residual), x.size, 4, seen.parts, noise)
    a, b, c, _ = (float(value) for value in coefficients)
    inside = b * b - 3.0 * a * c
    if inside <= 0.0 or b >= 0.0:
        return None
    apex = c / (-b + math.sqrt(inside))
    curvature = 6.0 * a * apex + 2.0 * b
    if abs(apex) > _APEX_SPAN or curvature >= 0.0:
        return None
    gradient = np.array([3.0 * apex**2, 2.0 * apex, 1.0, 0.0]) / -curvature
    error_ev = half_ev * math.sqrt(max(float(gradient @ covariance @ gradient), 0.0))
    peak_ev = float(energy[top]) + apex * half_ev
    height = float(np.polyval(coefficients, apex))
    return AbsorptionLine(peak_ev, error_ev, 2.0 * (half_ev + apex * half_ev), height, seen.points / seen.parts)


def analyse_absorption(frames: Frames, layout: OpticalLayout, rules: QualityRules) -> Analysis:
    """Peak, width and peak absorbance of one measurement with its quality flags; there is no yield.

    Flags: ``saturated``; ``faint`` (no absorbance above the noise, or less than ``min_absorbance``); ``opaque`` (the
    light ends before a maximum is seen); ``no line`` (a shoulder, or no maximum at all); ``broad``; ``coarse`` (too few
    pixels for a width); ``drifting`` (the repeats disagree); ``bubble`` (the clear band passes more than solvent or
    much less, or now more and now less). Raises ValueError without a blank.
    """
    import numpy as np

    flags: list[str] = []
    dark = np.mean(frames.darks, axis=0)
    if brightest_fraction(np.max(frames.samples, axis=0), frames.wavelengths_nm, layout) >= rules.saturation_fraction:
        flags.append("saturated")
    taken = [absorbance_of(frames, sample, dark, layout) for sample in frames.samples]
    shares = tuple(share for _, share in taken)
    if not all(CLEAR_BAND[0] <= share <= CLEAR_BAND[1] for share in shares) or not steady(shares, rules):
        flags.append("bubble")
    spectra = [spectrum for spectrum, _ in taken if spectrum is not None]
    nothing = Analysis(None, None, None, None, None, None, None, 0.0, (*flags, "opaque"), shares)
    if len(spectra) < len(taken) or any(spectrum.opaque < 2 * SMOOTHED_POINTS for spectrum in spectra):
        return nothing
    heights = [float(np.max(spectrum.smooth[: spectrum.opaque])) for spectrum in spectra]
    ratio = float(np.mean([h / max(s.noise, 1e-9) for h, s in zip(heights, spectra, strict=True)]))
    unseen = replace(nothing, absorbance=float(np.mean(heights)), signal_to_noise=ratio)
    if ratio < rules.min_signal_to_noise or max(heights) < rules.min_absorbance:
        return replace(unseen, flags=(*flags, "faint"))
    lines = [line for line in map(find_absorption_line, spectra) if line is not None]
    if len(lines) < len(spectra):
        ends = any(spectrum.opaque < spectrum.smooth.size for spectrum in spectra)
        return replace(unseen, flags=(*flags, "opaque" if ends else "no line"))
    peak, scatter = mean_and_error([line.peak_ev for line in lines])
    fit_error = float(np.mean([line.peak_sd_ev for line in lines])) / math.sqrt(len(lines))
    fwhm, fwhm_error = mean_and_error([line.fwhm_ev for line in lines])
    height, _ = mean_and_error([line.absorbance for line in lines])
    if scatter * math.sqrt(len(lines)) > rules.max_repeat_scatter_ev:
        flags.append("drifting")
    if fwhm > rules.max_fwhm_ev:
        flags.append("broad")
    if min(line.pixels for line in lines) < FEWEST_PIXELS:
        flags.append("coarse")
    return Analysis(peak, max(scatter, fit_error), fwhm, fwhm_error, None, None, height, ratio, tuple(flags), shares)


def _first_maximum(smooth: Array, noise: float) -> slice | None:
    """From the first point from the red that is a maximum to the one that shows it: there the absorbance has fallen
    before it rose above it."""
    top = 0
    for index in range(smooth.size):
        if smooth[index] > smooth[top]:
            top = index
        elif smooth[top] > 6.0 * noise and smooth[top] - smooth[index] > max(DIP * smooth[top], 3.0 * noise):
            return slice(top, index)
    return None


def _red_half_width(energy_ev: Array, smooth: Array, top: int) -> float | None:
    """From the maximum down its red flank to half its height, eV; None where the window ends before."""
    import numpy as np

    level = 0.5 * smooth[top]
    below = np.flatnonzero(smooth[:top] < level)
    if below.size == 0:
        return None
    outer = int(below[-1])
    rise = (level - smooth[outer]) / (smooth[outer + 1] - smooth[outer])
    return float(energy_ev[top] - (energy_ev[outer] + rise * (energy_ev[outer + 1] - energy_ev[outer])))
