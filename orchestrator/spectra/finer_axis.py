"""Spectra between their pixels: what lines are read from, whatever the step of the axis.

A moving average over a fixed number of pixels suits a line of many pixels and swallows one of few. So a line of few
pixels is looked at on a finer axis, along the cubic spline through its pixels, until it has as many points as a line
needs. A line of three pixels or more is smooth enough for the spline to go where the line goes
(`docs/decisions/0045`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

PARTS: Final = (1, 2, 4, 8, 16)
"""Into how many parts the steps are cut, one after the other, until a line has points enough."""
SPIKE_PIXELS: Final = 2.0
"""What is narrower at half maximum is a hot pixel and no line."""
FEWEST_PIXELS: Final = 3.0
"""A line that is narrower at half maximum is too coarse for its width, and its shape, to be told."""

UNEVEN: Final = 0.02
"""A pixel's width that differs by more from its neighbours' is taken for theirs."""

_POLE: Final = math.sqrt(3.0) - 2.0
_TAPS: Final = 16


def pixel_widths_nm(wavelengths_nm: Array) -> Array:
    """The width of each pixel, nm. Pixels do not differ much from their neighbours: where wavelengths were rounded, or
    lines of a file are missing, the median of nine counts."""
    import numpy as np

    widths = np.asarray(np.gradient(wavelengths_nm))
    around = np.lib.stride_tricks.sliding_window_view(np.pad(widths, 4, mode="edge"), 9)
    usual = np.median(around, axis=1)
    return np.where(np.abs(widths - usual) > UNEVEN * usual, usual, widths)


def between_pixels(values: Array, parts: int) -> Array:
    """``values`` (n,) and ``parts`` - 1 more in each step, along the cubic spline: shape (parts * (n - 1) + 1,).

    The spline is one over even steps, wavelengths and counts alike over the number of the pixel. Its slopes m obey
    m[i-1] + 4 m[i] + m[i+1] = 3 (v[i+1] - v[i-1]), and that filter's inverse is short (M. Unser et al., IEEE Trans.
    Signal Process. 1993, 41, 821).
    """
    import numpy as np

    inverse = _POLE ** np.abs(np.arange(-_TAPS, _TAPS + 1)) / math.sqrt(12.0)
    beyond = np.pad(values, _TAPS + 1, mode="reflect", reflect_type="odd")
    slope = np.convolve(3.0 * (beyond[2:] - beyond[:-2]), inverse, "valid")
    t = np.arange(parts) / parts
    left, right = values[:-1, None], values[1:, None]
    into = t * (1.0 - t) * ((1.0 - t) * (slope[:-1, None] - right + left) - t * (slope[1:, None] - right + left))
    return np.append((left + t * (right - left) + into).ravel(), values[-1])


def moving_average(values: Array, points: int) -> Array:
    """Moving average over an odd number of points; the ends repeat the outermost value."""
    import numpy as np

    padded = np.pad(values, points // 2, mode="edge")
    sums = np.cumsum(np.concatenate(([0.0], padded)))
    return np.asarray((sums[points:] - sums[:-points]) / points)


def pixel_noise(values: Array) -> float:
    """Standard deviation of one pixel, read off pixel-to-pixel differences (MAD)."""
    import numpy as np

    return 1.4826 * float(np.median(np.abs(np.diff(values)))) / math.sqrt(2.0)


def covariance_factor(squares: float, points: int, coefficients: int, parts: int, noise: float) -> float:
    """What the covariance of a fit is to be multiplied by, that took points between pixels for independent ones.

    ``squares``: the sum of squared residuals of ``points``, ``parts`` of them to a pixel. Where the pixels are hardly
    more than the coefficients the fit goes through all of them, and only ``noise``, that of a pixel, tells.
    """
    taken = squares / max(points - coefficients, 1)
    if parts == 1 or taken <= 0.0:
        return 1.0
    return max(squares / max(points / parts - coefficients, 1.0), parts * noise**2) / taken
