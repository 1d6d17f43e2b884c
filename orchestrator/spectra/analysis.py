"""Spectral analysis: detector counts to peak energy, line width and relative quantum yield, each with its uncertainty.

Pure functions of arrays; no device, no clock, no file. The optical layout assumed is one excitation lamp whose residual
line reaches the spectrometer through the flow cell next to the sample's emission:

* ``dark``: lamp off. Subtracted at the same integration time.
* ``blank``: lamp on, solvent in the cell. Gives the incident lamp line ``I0`` and the stray-light background.
* ``sample``: lamp on. The lamp line is attenuated to ``I0 10^-A``, so ``A = -log10(I / I0)``; what is left of the
  background after scaling with the transmitted lamp light is emission.

Relative yield is emitted counts over absorbed lamp counts, times one factor of the instrument that a reference dye of
known yield calibrates (the comparative method of A. T. R. Williams et al., Analyst 1983, 108, 1067).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from orchestrator.spectra.emission_line import SMOOTHED_POINTS, Line, strongest_line
from orchestrator.spectra.finer_axis import FEWEST_PIXELS, moving_average, pixel_noise, pixel_widths_nm
from orchestrator.units import HC_EV_NM

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.spectra.shape import ShapeReading

    Array = NDArray[np.float64]


@dataclass(frozen=True)
class OpticalLayout:
    """Where the lamp's line ends and the emission may begin, and what the instrument was calibrated to.

    In ``absorption`` white light passes through the cell: the lamp's band is one where the sample is clear, and the
    absorption line is looked for between ``emission_low_nm`` and ``emission_high_nm``.

    ``yield_factor`` turns (emitted counts) / (absorbed lamp counts) into quantum yield. ``exposure_s``: the shortest
    and longest exposure that the detector can make; the same twice where its own software sets it.
    ``dark_subtracted``: its spectra come with their dark taken off.
    """

    lamp_low_nm: float = 393.0
    lamp_high_nm: float = 417.0
    emission_low_nm: float = 418.0
    emission_high_nm: float = 800.0
    full_scale: float = 65535.0
    yield_factor: float = 1.0
    exposure_s: tuple[float, float] = (0.0, math.inf)
    dark_subtracted: bool = False
    mode: Literal["emission", "absorption"] = "emission"


@dataclass(frozen=True)
class QualityRules:
    """What a spectrum must satisfy before anyone believes it."""

    saturation_fraction: float = 0.98
    min_signal_to_noise: float = 20.0
    max_fwhm_ev: float = 0.4
    min_absorbance: float = 0.003
    second_peak_fraction: float = 0.25
    max_repeat_scatter_ev: float = 0.02
    max_light_step: float = 0.05


@dataclass(frozen=True)
class Frames:
    """Counts of one measurement. ``samples`` and ``darks``: shape (repeats, pixels); ``wavelengths_nm``: (pixels,).

    ``blank_rate``: (pixels,) counts per second of the solvent with its own dark removed, or None before it was taken.
    """

    wavelengths_nm: Array
    samples: Array
    darks: Array
    integration_s: float
    blank_rate: Array | None


@dataclass(frozen=True)
class Analysis:
    """Result of one measurement; a number that could not be had is None, and ``flags`` say why.

    ``peak_sd_ev`` is the standard error of the mean over the repeats, never below the error of the fit.
    ``transmitted``: the share of the blank's lamp light that each repeat lets through; empty without a blank.
    ``shape``: where the campaign wants the light of a target spectrum, how it compares.
    """

    peak_ev: float | None
    peak_sd_ev: float | None
    fwhm_ev: float | None
    fwhm_sd_ev: float | None
    quantum_yield: float | None
    quantum_yield_sd: float | None
    absorbance: float | None
    signal_to_noise: float
    flags: tuple[str, ...]
    transmitted: tuple[float, ...] = ()
    shape: ShapeReading | None = None

    @property
    def accepted(self) -> bool:
        """True when the peak may be scored."""
        return self.peak_ev is not None and not self.flags


def brightest_fraction(counts: Array, wavelengths_nm: Array, layout: OpticalLayout) -> float:
    """Largest count of the emission window as a fraction of full scale, a few hot pixels disregarded."""
    import numpy as np

    window = (wavelengths_nm >= layout.emission_low_nm) & (wavelengths_nm <= layout.emission_high_nm)
    return float(np.partition(counts[window], -4)[-4] / layout.full_scale)


def emission_counts(frames: Frames, sample: Array, dark: Array, layout: OpticalLayout) -> tuple[Array, float]:
    """Emission of one sample frame in counts, shape (pixels,), and the transmitted fraction of the lamp's line."""
    net = sample - dark
    if frames.blank_rate is None:
        return net, 1.0
    blank = frames.blank_rate * frames.integration_s
    lit = sample < 0.98 * layout.full_scale
    transmitted = transmitted_share(net, blank, lit, frames.wavelengths_nm, layout)
    return net - blank * transmitted, transmitted


def find_line(wavelengths_nm: Array, emission: Array, layout: OpticalLayout) -> Line | None:
    """Locate the strongest line of ``emission`` (counts, shape (pixels,)) in energy space; None if there is none.

    Counts per pixel become photons per energy with the Jacobian lambda^2/(hc) and the pixel's width.
    """
    window = (wavelengths_nm >= layout.emission_low_nm) & (wavelengths_nm <= layout.emission_high_nm)
    wavelength = wavelengths_nm[window]
    spectral = emission[window] * wavelength**2 / pixel_widths_nm(wavelengths_nm)[window]
    return strongest_line(HC_EV_NM / wavelength, spectral, emission[window])


def analyse(frames: Frames, layout: OpticalLayout, rules: QualityRules) -> Analysis:
    """Peak, width and yield of one measurement with its quality flags.

    Flags: ``saturated``, ``dark`` (no emission above the noise), ``no line`` (none with both flanks in the window, or
    a hot pixel), ``broad``, ``multi-peak``, ``coarse`` (too few pixels for a width), ``drifting`` (the repeats
    disagree), ``bubble`` (the cell transmits more lamp light than pure solvent, next to none, or now more
    and now less; see :func:`with_steady_light`). A layout of absorption goes to :mod:`orchestrator.spectra.absorption`.
    """
    import numpy as np

    if layout.mode == "absorption":
        from orchestrator.spectra.absorption import analyse_absorption

        return analyse_absorption(frames, layout, rules)
    flags: list[str] = []
    dark = np.mean(frames.darks, axis=0)
    if brightest_fraction(np.max(frames.samples, axis=0), frames.wavelengths_nm, layout) >= rules.saturation_fraction:
        flags.append("saturated")
    lines: list[Line] = []
    yields: list[float] = []
    emissions: list[Array] = []
    transmissions: list[float] = []
    for sample in frames.samples:
        emission, transmitted = emission_counts(frames, sample, dark, layout)
        emissions.append(emission)
        transmissions.append(transmitted)
        relative = _relative_yield(frames, emission, transmitted, layout, rules)
        if relative is not None:
            yields.append(relative)
    mean_emission = np.mean(emissions, axis=0)
    ratio = signal_to_noise(frames.wavelengths_nm, mean_emission, layout)
    transmitted = float(np.mean(transmissions))
    let_through = tuple(transmissions) if frames.blank_rate is not None else ()
    absorbance = -math.log10(transmitted) if frames.blank_rate is not None and transmitted > 0.0 else None
    if frames.blank_rate is not None and (not 0.01 <= transmitted <= 1.15 or not steady(let_through, rules)):
        flags.append("bubble")
    unseen = Analysis(None, None, None, None, None, None, absorbance, ratio, (*flags, "dark"), let_through)
    if ratio < rules.min_signal_to_noise:
        return unseen
    for emission in emissions:
        line = find_line(frames.wavelengths_nm, emission, layout)
        if line is not None:
            lines.append(line)
    if len(lines) < len(emissions):
        return replace(unseen, flags=(*flags, "no line"))
    peak, scatter = mean_and_error([line.peak_ev for line in lines])
    fit_error = float(np.mean([line.peak_sd_ev for line in lines])) / math.sqrt(len(lines))
    fwhm, fwhm_error = mean_and_error([line.fwhm_ev for line in lines])
    if scatter * math.sqrt(len(lines)) > rules.max_repeat_scatter_ev:
        flags.append("drifting")
    if fwhm > rules.max_fwhm_ev:
        flags.append("broad")
    if max(line.second_peak_fraction for line in lines) > rules.second_peak_fraction:
        flags.append("multi-peak")
    if min(line.pixels for line in lines) < FEWEST_PIXELS:
        flags.append("coarse")
    quantum_yield, yield_error = mean_and_error(yields) if len(yields) == len(lines) else (None, None)
    error = max(scatter, fit_error)
    return Analysis(
        peak, error, fwhm, fwhm_error, quantum_yield, yield_error, absorbance, ratio, tuple(flags), let_through
    )


def with_wander(analysis: Analysis, looks_ev: Sequence[float | None]) -> Analysis:
    """The analysis with a peak error that covers how far the line wandered while it was being watched.

    Repeats follow each other within seconds, and the slow pulse of a syringe pump moves the line over minutes: the
    scatter of the looks and of the measured peak together says how well a single measurement stands for the recipe.
    """
    looks = [look for look in looks_ev if look is not None]
    if analysis.peak_ev is None or analysis.peak_sd_ev is None or not looks:
        return analysis
    values = [*looks, analysis.peak_ev]
    _, error_of_mean = mean_and_error(values)
    return replace(analysis, peak_sd_ev=max(analysis.peak_sd_ev, error_of_mean * math.sqrt(len(values))))


def with_steady_light(analysis: Analysis, looks: Sequence[Analysis], rules: QualityRules) -> Analysis:
    """The analysis, flagged ``bubble`` where the lamp's light came and went between the looks and the repeats.

    A bubble that fills part of the cell leaves a line of ordinary shape, only with too little light. What gives it away
    is its coming or going: at a steady recipe the transmitted share stays within ``max_light_step``.
    """
    seen = [share for each in (*looks, analysis) for share in each.transmitted]
    if steady(seen, rules):
        return analysis
    return with_flag(analysis, "bubble")


def with_flag(analysis: Analysis, flag: str) -> Analysis:
    """The analysis with one more flag, if it does not have it already."""
    return analysis if flag in analysis.flags else replace(analysis, flags=(*analysis.flags, flag))


def steady(transmitted: Sequence[float], rules: QualityRules) -> bool:
    """Whether the shares of transmitted light lie within ``max_light_step`` of each other."""
    return len(transmitted) < 2 or max(transmitted) - min(transmitted) <= rules.max_light_step


def signal_to_noise(wavelengths_nm: Array, emission: Array, layout: OpticalLayout) -> float:
    """Height of the smoothed emission over its noise, the noise read off pixel-to-pixel differences (MAD)."""
    import numpy as np

    window = (wavelengths_nm >= layout.emission_low_nm) & (wavelengths_nm <= layout.emission_high_nm)
    signal = emission[window]
    return float(np.max(moving_average(signal, SMOOTHED_POINTS)) / max(pixel_noise(signal), 1e-9))


def _relative_yield(
    frames: Frames, emission: Array, transmitted: float, layout: OpticalLayout, rules: QualityRules
) -> float | None:
    """Emitted over absorbed counts times the instrument's factor; None where too little is absorbed to tell."""
    import numpy as np

    if frames.blank_rate is None or transmitted <= 0.0 or -math.log10(transmitted) < rules.min_absorbance:
        return None
    wavelength = frames.wavelengths_nm
    lamp = (wavelength >= layout.lamp_low_nm) & (wavelength <= layout.lamp_high_nm)
    window = (wavelength >= layout.emission_low_nm) & (wavelength <= layout.emission_high_nm)
    incident = float(np.sum(frames.blank_rate[lamp])) * frames.integration_s
    emitted = float(np.sum(emission[window]))
    return layout.yield_factor * emitted / (incident * (1.0 - transmitted))


def transmitted_share(
    net: Array, blank: Array, unsaturated: NDArray[np.bool_], wavelengths_nm: Array, layout: OpticalLayout
) -> float:
    """Least-squares scale of the blank's lamp line in the sample (both dark-corrected counts).

    A long exposure may drive the lamp's own line into saturation; its flanks then still tell.
    """
    import numpy as np

    lamp = (wavelengths_nm >= layout.lamp_low_nm) & (wavelengths_nm <= layout.lamp_high_nm) & unsaturated
    reference = blank[lamp]
    strength = float(np.dot(reference, reference))
    return float(np.dot(net[lamp], reference)) / strength if strength > 0.0 else 1.0


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard error of the mean; one value alone has error 0 here and its fit's error elsewhere."""
    mean = math.fsum(values) / len(values)
    if len(values) < 2:
        return mean, 0.0
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return mean, math.sqrt(variance / len(values))
