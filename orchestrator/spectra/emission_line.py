"""The strongest line of an emission spectrum: its apex, its width, and whether it stands alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orchestrator.spectra.finer_axis import (
    PARTS,
    SPIKE_PIXELS,
    between_pixels,
    covariance_factor,
    moving_average,
    pixel_noise,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

SMOOTHED_POINTS: Final = 9
"""So many are averaged to see the top of a line and its flanks."""
SMOOTHED_BESIDE: Final = 31
"""So many are averaged to see what else there is."""
FEWEST_POINTS: Final = 4 * SMOOTHED_POINTS
"""So many a line must have above half maximum. With no more, the average makes a Gaussian 1.4 % too broad."""


@dataclass(frozen=True)
class Line:
    """One emission line: its apex, the apex's standard error, and its full width at half maximum, all in eV.

    ``second_peak_fraction``: the height of the highest thing beside it, as a share of its own. ``pixels``: how many of
    the detector's lie above half of it.
    """

    peak_ev: float
    peak_sd_ev: float
    fwhm_ev: float
    second_peak_fraction: float
    pixels: float


def strongest_line(energy_ev: Array, spectral: Array, counts: Array) -> Line | None:
    """The strongest line of ``spectral``, photons per energy over ``energy_ev``; None if there is none.

    Shapes (pixels,); ``counts`` weigh the pixels. The apex is that of a fourth-degree polynomial fitted to the
    logarithm above half maximum (exact for a Gaussian, and free to follow a skewed or mixed line), weighted for shot
    noise; its standard error follows from the covariance of the fit.
    """
    import numpy as np

    energy, values, weights = energy_ev, spectral, counts
    near = slice(0, energy.size)
    for parts in PARTS:
        if parts > 1:
            energy, values, weights = (between_pixels(each, parts) for each in (energy_ev, spectral, counts))
        smooth = moving_average(values, SMOOTHED_POINTS)
        top = near.start + int(np.argmax(smooth[near]))
        if smooth[top] <= 0.0:
            return None
        half = _half_window(smooth, top)
        points = half.stop - half.start
        if points >= FEWEST_POINTS:
            break
        # Looked at more closely is what the wider average saw, and no hot pixel elsewhere.
        near = slice(2 * half.start, 2 * half.stop - 1)
    if points < SPIKE_PIXELS * parts:
        return None
    fit = _fit_apex(energy[half], values[half], weights[half], parts, pixel_noise(counts))
    width = _width_at_half(energy, smooth, top)
    if fit is None or width is None:
        return None
    # Beyond 1.2 widths from its apex there is little left of a line: a second one counts as one of its own.
    beside = np.abs(energy - fit[0]) > 1.2 * width
    second = float(np.max(moving_average(values, SMOOTHED_BESIDE)[beside], initial=0.0) / smooth[top])
    return Line(fit[0], fit[1], width, second, points / parts)


def _half_window(smooth: Array, top: int) -> slice:
    """The contiguous pixels around ``top`` that stay above half of its height."""
    import numpy as np

    below = np.flatnonzero(smooth < 0.5 * smooth[top])
    left = below[below < top]
    right = below[below > top]
    return slice(int(left[-1]) + 1 if left.size else 0, int(right[0]) if right.size else smooth.size)


def _fit_apex(energy_ev: Array, spectral: Array, counts: Array, parts: int, noise: float) -> tuple[float, float] | None:
    """Apex of a quartic through ln(spectral) and its standard error, both in eV; None if it has no maximum inside.

    ``parts``: points to a pixel. ``noise``: of a pixel, in counts.
    """
    import numpy as np

    good = (spectral > 0.0) & (counts > 0.0)
    if int(np.count_nonzero(good)) < 8:
        return None
    centre = float(np.mean(energy_ev[good]))
    half_span = 0.5 * float(np.ptp(energy_ev[good]))
    x = (energy_ev[good] - centre) / half_span
    # Shot noise: the variance of ln(counts) goes as 1/counts; the residuals set the scale of the covariance.
    brightest = float(np.max(counts[good]))
    weight = np.sqrt(counts[good] / brightest)
    design = np.vander(x, 5, increasing=True) * weight[:, None]
    target = np.log(spectral[good]) * weight
    normal = design.T @ design
    try:
        inverse = np.linalg.inv(normal)
    except np.linalg.LinAlgError:
        return None
    coefficients = inverse @ (design.T @ target)
    residual = target - design @ coefficients
    squares = float(residual @ residual)
    covariance = (
        inverse * squares / max(x.size - 5, 1) * covariance_factor(squares, x.size, 5, parts, noise / brightest)
    )
    _, b, c, d, e = (float(value) for value in coefficients)
    roots = np.roots([4.0 * e, 3.0 * d, 2.0 * c, b])
    candidates = [float(root.real) for root in roots if abs(root.imag) < 1e-9 and abs(root.real) <= 1.0]
    candidates = [root for root in candidates if 2.0 * c + 6.0 * d * root + 12.0 * e * root**2 < 0.0]
    if not candidates:
        return None
    apex = max(candidates, key=lambda root: float(np.polyval(coefficients[::-1], root)))
    curvature = 2.0 * c + 6.0 * d * apex + 12.0 * e * apex**2
    gradient = np.array([0.0, 1.0, 2.0 * apex, 3.0 * apex**2, 4.0 * apex**3]) / -curvature
    variance = float(gradient @ covariance @ gradient)
    return centre + half_span * apex, half_span * math.sqrt(max(variance, 0.0))


def _width_at_half(energy_ev: Array, smooth: Array, top: int) -> float | None:
    """Full width at half maximum by linear interpolation of both flanks; None if a flank leaves the window."""
    import numpy as np

    level = 0.5 * smooth[top]
    below = np.flatnonzero(smooth < level)
    left, right = below[below < top], below[below > top]
    if left.size == 0 or right.size == 0:
        return None

    def crossing(outer: int, inner: int) -> float:
        share = (level - smooth[outer]) / (smooth[inner] - smooth[outer])
        return float(energy_ev[outer] + share * (energy_ev[inner] - energy_ev[outer]))

    low = crossing(int(left[-1]), int(left[-1]) + 1)
    high = crossing(int(right[0]), int(right[0]) - 1)
    return abs(high - low)
