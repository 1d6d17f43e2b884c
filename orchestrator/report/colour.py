"""The colour that a line of given energy has to the eye."""

from __future__ import annotations

import math

from orchestrator.units import HC_EV_NM

_WHITE = 0.12  # share of white added: a spectral colour lies outside what a screen can show


def emission_colour(peak_ev: float) -> str:
    """The sRGB colour `#rrggbb` of monochromatic light of this photon energy.

    Colour-matching functions: the analytic fit of C. Wyman, P.-P. Sloan, P. Shirley, J. Comput. Graph. Tech. 2013,
    2(2), 1. Beyond the visible the colour of its nearer end is returned.
    """
    wavelength = min(max(HC_EV_NM / peak_ev, 425.0), 655.0)
    x = _lobe(wavelength, 1.056, 599.8, 37.9, 31.0) + _lobe(wavelength, 0.362, 442.0, 16.0, 26.7)
    x += _lobe(wavelength, -0.065, 501.1, 20.4, 26.2)
    y = _lobe(wavelength, 0.821, 568.8, 46.9, 40.5) + _lobe(wavelength, 0.286, 530.9, 16.3, 31.1)
    z = _lobe(wavelength, 1.217, 437.0, 11.8, 36.0) + _lobe(wavelength, 0.681, 459.0, 26.0, 13.8)
    linear = (
        3.2406 * x - 1.5372 * y - 0.4986 * z,
        -0.9689 * x + 1.8758 * y + 0.0415 * z,
        0.0557 * x - 0.2040 * y + 1.0570 * z,
    )
    lifted = [channel - min(*linear, 0.0) + _WHITE * max(linear) for channel in linear]
    brightest = max(lifted)
    return "#" + "".join(f"{round(255 * _gamma(0.9 * channel / brightest)):02x}" for channel in lifted)


def _lobe(x: float, height: float, centre: float, left: float, right: float) -> float:
    width = left if x < centre else right
    return height * math.exp(-0.5 * ((x - centre) / width) ** 2)


def _gamma(linear: float) -> float:
    return 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
