"""A flow cell, its LED and a fibre spectrometer: from the mixture in the cell to counts on pixels.

Mean counts of a pixel: emission per nm (the energy line times hc / lambda^2) and the LED's own line attenuated by the
cell (10^-A), both times the width of the pixel in nm; a flat share of all light as stray; baseline and dark current,
each with a fixed pattern. The spectral response is taken as flat (a calibrated instrument). Noise: shot noise of the
photoelectrons in its Gaussian limit, and read noise. The state of the fluid is that at the start of the exposure.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable

import numpy as np

from simulators.chemistry import Array, Chemistry
from simulators.emission import HC_EV_NM, CellLight, absorbance, emission_per_ev, white_absorbance
from simulators.errors import SpecError, TimeReversalError
from simulators.noise import generator
from simulators.specs import SpectrometerSpec
from simulators.steps import Steps

_TIME_SLACK_S = 1e-6
_BASELINE_PATTERN_COUNTS = 8.0
_DARK_PATTERN = 0.25
_BUBBLE_EMISSION = 0.001
_BUBBLE_LEAK = 0.005
"""What a bubble in the cell leaves of the emission (a film on the wall) and of the LED's line, which it scatters; both
assumed."""
_SIGMA_PER_FWHM = 1.0 / (2.0 * math.sqrt(2.0 * math.log(2.0)))

CellAt = Callable[[float, np.random.Generator], CellLight]


class FlowCell:
    """Lamp, cell and detector (an `OpticsPlant`). `cell_at(t_s, generator)` tells what is in the cell."""

    def __init__(
        self, spec: SpectrometerSpec, chemistry: Chemistry, cell_at: CellAt, seed: int, start_s: float
    ) -> None:
        self.spec = spec
        self._chemistry = chemistry
        self._cell_at = cell_at
        self._seed = seed
        self._start_s = start_s
        self._exposures = 0
        self._lamp_times = [start_s]
        self._lamp_on = [False]
        self._lamp_lit_s = [0.0]
        self._brightness = Steps(1.0)
        self._extra_drift = Steps(0.0)
        self._film = Steps(0.0)
        self._bubble = Steps(0.0)
        self._wavelengths: Array = np.array(spec.wavelengths_list_nm())
        self._widths: Array = np.gradient(self._wavelengths)
        pattern = generator(seed, spec.name, "dark pattern").standard_normal((2, spec.pixels))
        self._baseline = spec.baseline_counts + _BASELINE_PATTERN_COUNTS * pattern[0]
        self._dark_rate = spec.dark_counts_per_s * np.maximum(1.0 + _DARK_PATTERN * pattern[1], 0.0)

    def brighten(self, t_s: float, factor: float) -> None:
        """Have the LED this many times as bright as it should be."""
        self._brightness.set(t_s, factor)

    def drift(self, t_s: float, share_per_h: float) -> None:
        """Have the LED's power change by this share of it per hour from now on, besides its own drift."""
        self._extra_drift.set(t_s, share_per_h)

    def foul(self, t_s: float, absorbance_per_h: float) -> None:
        """Have a film grow on the windows, grey, from now on; 0 takes it away."""
        self._film.set(t_s, absorbance_per_h)

    def bubble(self, t_s: float, share: float) -> None:
        """Put a bubble into the cell that fills this share of its light path, 1 for all of it; 0 lets it go."""
        self._bubble.set(t_s, share)

    def holds_bubble(self, t_s: float) -> bool:
        """Whether a bubble is in the cell."""
        return bool(self._bubble) and self._bubble.at(t_s) > 0.0

    def lamp(self, t_s: float, on: bool) -> None:
        """Switch the LED. Raises: TimeReversalError before the previous switching."""
        if t_s < self._lamp_times[-1] - _TIME_SLACK_S:
            raise TimeReversalError(f"{self.spec.name} lamp", t_s, self._lamp_times[-1])
        if on != self._lamp_on[-1]:
            lit_s = self._lit_until_s(t_s)
            self._lamp_times.append(max(t_s, self._lamp_times[-1]))
            self._lamp_lit_s.append(lit_s)
            self._lamp_on.append(bool(on))

    @property
    def lamp_is_on(self) -> bool:
        """Whether the LED was last switched on."""
        return self._lamp_on[-1]

    def _lit_until_s(self, t_s: float) -> float:
        index = max(bisect_right(self._lamp_times, t_s) - 1, 0)
        since = max(t_s - self._lamp_times[index], 0.0) if self._lamp_on[index] else 0.0
        return self._lamp_lit_s[index] + since

    def expose(self, t_start_s: float, integration_s: float) -> Array:
        """Counts of each pixel, float64, shape (pixels,), before rounding and clipping to full scale.

        Raises: SpecError for an integration time that is not above 0 s and at most 3600 s; TimeReversalError before
        the start.
        """
        if not math.isfinite(integration_s) or not 0.0 < integration_s <= 3600.0:
            raise SpecError(f"{self.spec.name}: integration_s", integration_s, "above 0 to 3600")
        if t_start_s < self._start_s - _TIME_SLACK_S:
            raise TimeReversalError(self.spec.name, t_start_s, self._start_s)
        spec = self.spec
        noise = generator(self._seed, spec.name, "exposure", self._exposures)
        self._exposures += 1
        lit_s = self._lit_until_s(t_start_s + integration_s) - self._lit_until_s(t_start_s)
        light = np.zeros(spec.pixels)
        if lit_s > 0.0:
            light = self._light(self._cell_at(t_start_s, noise), t_start_s) * lit_s
        thermal = self._dark_rate * integration_s
        gain = spec.photoelectrons_per_count
        spread = np.sqrt((light + thermal) / gain + spec.read_noise_counts**2)
        return np.asarray(self._baseline + thermal + light + spread * noise.standard_normal(spec.pixels))

    def _light(self, cell: CellLight, t_s: float) -> Array:
        """Mean light on each pixel with the LED on, counts/s."""
        spec = self.spec
        hours = (t_s - self._start_s) / 3600.0
        power = max(1.0 + spec.led_drift_per_h * hours, 0.0)
        nm = self._wavelengths + spec.wavelength_drift_nm_per_h * hours
        energies = HC_EV_NM / nm
        if self._brightness:
            power *= self._brightness.at(t_s)
        if self._extra_drift:
            power *= max(1.0 + self._extra_drift.at(t_s) * self._extra_drift.since(t_s) / 3600.0, 0.0)
        if self._film:
            power *= 10.0 ** -(self._film.at(t_s) * self._film.since(t_s) / 3600.0)
        bubble = self._bubble.at(t_s) if self._bubble else 0.0
        if spec.mode == "absorption":
            light = self._white_light(cell, nm) * power * self._widths
            light *= 1.0 - bubble * (1.0 - _BUBBLE_LEAK)
            return self._on_pixels(light)
        light = emission_per_ev(cell, energies) * energies / nm
        if bubble:
            light *= 1.0 - bubble * (1.0 - _BUBBLE_EMISSION)
        sigma = spec.led_fwhm_nm * _SIGMA_PER_FWHM
        near = np.flatnonzero(np.abs(nm - spec.led_wavelength_nm) < 5.0 * sigma)
        if near.size:
            band = slice(int(near[0]), int(near[-1]) + 1)
            line = np.exp(-0.5 * ((nm[band] - spec.led_wavelength_nm) / sigma) ** 2) / (
                sigma * math.sqrt(2.0 * math.pi)
            )
            if bubble:
                line *= 1.0 - bubble * (1.0 - _BUBBLE_LEAK)
            light[band] += spec.led_leak_fraction * line * 10.0 ** -absorbance(self._chemistry, cell, energies[band])
        light *= power * spec.led_power_counts_s * self._widths
        return self._on_pixels(light)

    def _white_light(self, cell: CellLight, nm: Array) -> Array:
        """White light through the cell (Beer and Lambert), counts/s per nm. What the cell emits goes all ways, and
        next to nothing of it along the beam: neglected."""
        spec = self.spec
        shape = np.exp(-0.5 * ((nm - spec.white_centre_nm) / spec.white_sigma_nm) ** 2)
        passed = 10.0 ** -white_absorbance(self._chemistry, cell, HC_EV_NM / nm)
        return np.asarray(spec.white_counts_s_nm * shape * passed)

    def _on_pixels(self, light: Array) -> Array:
        """With the stray light, and without what falls on pixels that see none."""
        light += self.spec.stray_fraction * float(light.sum())
        light[: self.spec.optically_dark_pixels] = 0.0
        return light
