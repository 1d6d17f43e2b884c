"""Reading the flow cell: dark and blank, auto-ranging, the look that tells whether the reactor is steady."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.config import Measure
from orchestrator.errors import RigFault
from orchestrator.experiment.reference import lamp_line_rate
from orchestrator.history.run_state import Blank
from orchestrator.recipes.exposures import DARK_PROBE_S, RANGE_ATTEMPTS, common_range_s
from orchestrator.rig.devices import RigSpectrometer
from orchestrator.spectra.analysis import (
    Analysis,
    Frames,
    OpticalLayout,
    QualityRules,
    analyse,
    brightest_fraction,
)
from orchestrator.spectra.shape import read_shape

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.spectra.shape import Light

    Array = NDArray[np.float64]

RANGE_SLACK = 1.35
"""The exposure is changed only when it is off by more than this factor: each change costs discarded spectra."""
FIRST_INTEGRATION_S = 0.1
FAINTEST_LINE = 0.01
"""A lamp's own line below this share of full scale is no reference."""
LEAST_PIXELS = 16
"""Twice as many as a line must have above half of its height."""
DARK_PROBES_S = (0.05, DARK_PROBE_S)


@dataclass(frozen=True)
class Measurement:
    """One measurement with the addresses of its spectra in the journal."""

    analysis: Analysis
    integration_s: float
    spectra: tuple[str, ...]
    dark: str


@dataclass(frozen=True)
class ReferenceReading:
    """The lamp's own line in counts per second, and the address of a spectrum that shows it."""

    line_rate: float
    integration_s: float
    spectrum: str


class Detector:
    """The spectrometer as an instrument with a memory: its exposure, its dark model and its blank."""

    def __init__(
        self,
        spectrometer: RigSpectrometer,
        layout: OpticalLayout,
        measure: Measure,
        rules: QualityRules,
        target: Light | None = None,
    ) -> None:
        """``target``: the light that measurements are compared with, where a campaign wants that."""
        self._spectrometer = spectrometer
        self._layout = layout
        self._measure = measure
        self._rules = rules
        self._target = target
        self._range_s = common_range_s(measure.integration_s, layout.exposure_s)
        self._integration_s = 0.0
        self._wavelengths: Array | None = None
        self._dark_offset: Array | None = None
        self._dark_rate: Array | None = None
        self._blank_rate: Array | None = None
        self._blank_exposure_s = 0.0
        self._blank_factor = 1.0

    async def take_blank(self) -> Blank:
        """Measure dark at two exposures and the solvent under the lamp; the cell must hold solvent.

        The dark of any exposure is then offset + rate x time, good enough for looks; measurements take their own.
        Raises RigFault where the spectrometer has next to no pixels in the window that lines are looked for in.
        """
        wavelengths, address = await self._spectrometer.wavelengths_nm()
        self._check_window(wavelengths)
        self._wavelengths = wavelengths
        await self._model_dark(wavelengths.size)
        await self._lamp(True)
        exposure = await self._blank_exposure()
        blank, blank_address = await self._average(exposure, self._measure.repeats)
        if self._layout.dark_subtracted:
            dark, dark_address = await self._spectrometer.no_light(wavelengths.size)
        else:
            await self._lamp(False)
            dark, dark_address = await self._average(exposure, self._measure.dark_repeats)
        self._blank_rate = (blank - dark) / self._integration_s
        self._blank_exposure_s, self._blank_factor = self._integration_s, 1.0
        await self._lamp(True)
        return Blank(self._integration_s, dark_address, blank_address, address)

    def _check_window(self, wavelengths_nm: Array) -> None:
        low_nm, high_nm = self._layout.emission_low_nm, self._layout.emission_high_nm
        pixels = int(((wavelengths_nm >= low_nm) & (wavelengths_nm <= high_nm)).sum())
        if pixels < LEAST_PIXELS:
            raise RigFault(
                f"{self._spectrometer.name}: {pixels} of its pixels lie in the {self._layout.mode} window from "
                f"{low_nm:g} nm to {high_nm:g} nm, and a line takes {LEAST_PIXELS}; it sees from "
                f"{wavelengths_nm.min():.0f} nm to {wavelengths_nm.max():.0f} nm"
            )

    async def _model_dark(self, pixels: int) -> None:
        """Dark at two exposures: offset + rate x time. None of it where the instrument takes off its own."""
        import numpy as np

        if self._layout.dark_subtracted:
            self._dark_rate = self._dark_offset = np.zeros(pixels)
            return
        await self._lamp(False)
        low_s, high_s = self._layout.exposure_s
        short, long = (min(max(probe_s, low_s), high_s) for probe_s in DARK_PROBES_S)
        first, _ = await self._average(short, self._measure.dark_repeats)
        second, _ = await self._average(long, self._measure.dark_repeats)
        self._dark_rate = (second - first) / (long - short)
        self._dark_offset = first - self._dark_rate * short

    async def _dark(self, pixels: int) -> tuple[Array, str]:
        """The mean of several darks at the exposure in effect, and the address of the last; then the lamp is on."""
        import numpy as np

        if self._layout.dark_subtracted:
            return await self._spectrometer.no_light(pixels)
        await self._lamp(False)
        frames: list[Array] = []
        for _ in range(self._measure.dark_repeats):
            counts, address = await self._spectrometer.acquire()
            frames.append(counts)
        await self._lamp(True)
        return np.mean(np.asarray(frames), axis=0), address

    @property
    def blank_line_rate(self) -> float | None:
        """Counts per second of the lamp's own line in the blank, as it was read; None where there is no line to see."""
        wavelengths, blank = _known(self._wavelengths), _known(self._blank_rate)
        line = (wavelengths >= self._layout.lamp_low_nm) & (wavelengths <= self._layout.lamp_high_nm)
        brightest = float(blank[line].max(initial=0.0)) * self._blank_exposure_s / self._layout.full_scale
        if brightest < FAINTEST_LINE:
            return None
        return lamp_line_rate(blank, 0.0 * blank, wavelengths, 1.0, self._layout)

    async def read_reference(self) -> ReferenceReading:
        """The lamp's own line now, at the blank's exposure; the cell must hold solvent."""
        counts, address = await self._average(self._blank_exposure_s, self._measure.repeats)
        dark = _known(self._dark_offset) + _known(self._dark_rate) * self._integration_s
        rate = lamp_line_rate(counts, dark, _known(self._wavelengths), self._integration_s, self._layout)
        return ReferenceReading(rate, self._integration_s, address)

    def correct_blank(self, factor: float) -> None:
        """From now on the lamp counts as this many times as bright as it was when the blank was read."""
        self._blank_factor = factor

    async def look(self) -> Analysis:
        """One quick spectrum with the modelled dark: is there a line, and where?"""
        counts, _ = await self._ranged()
        offset, rate = _known(self._dark_offset), _known(self._dark_rate)
        return self._analyse([counts], [offset + rate * self._integration_s])

    async def measure(self) -> Measurement:
        """Repeats at a settled exposure, then a dark at the same one."""
        await self._ranged()
        await self._discard()
        samples: list[Array] = []
        addresses: list[str] = []
        for _ in range(self._measure.repeats):
            counts, address = await self._spectrometer.acquire()
            samples.append(counts)
            addresses.append(address)
        dark, dark_address = await self._dark(samples[0].size)
        return Measurement(
            self._analyse(samples, [dark], shaped=True), self._integration_s, tuple(addresses), dark_address
        )

    def _analyse(self, samples: list[Array], darks: list[Array], *, shaped: bool = False) -> Analysis:
        import numpy as np

        blank = None if self._blank_rate is None else self._blank_rate * self._blank_factor
        wavelengths = _known(self._wavelengths)
        frames = Frames(wavelengths, np.asarray(samples), np.asarray(darks), self._integration_s, blank)
        analysis = analyse(frames, self._layout, self._rules)
        if self._target is None or not shaped or analysis.peak_ev is None:
            return analysis
        return replace(analysis, shape=read_shape(frames, self._layout, self._target))

    async def _ranged(self) -> tuple[Array, str]:
        """A spectrum whose brightest emission is near the wanted fraction of full scale, if any exposure does that."""
        wavelengths = _known(self._wavelengths)
        shortest, longest = self._range_s
        wanted = self._measure.target_fraction_of_full_scale
        if self._integration_s <= 0.0:
            await self._expose(min(max(FIRST_INTEGRATION_S, shortest), longest))
        counts, address = await self._spectrometer.acquire()
        for _ in range(RANGE_ATTEMPTS):
            base = float(_known(self._dark_offset).mean()) / self._layout.full_scale
            bright = brightest_fraction(counts, wavelengths, self._layout)
            saturated = bright >= self._rules.saturation_fraction
            factor = 0.3 if saturated else (wanted - base) / max(bright - base, 1e-4)
            exposure = min(max(self._integration_s * factor, shortest), longest)
            change = exposure / self._integration_s
            if 1.0 / RANGE_SLACK < change < RANGE_SLACK:
                break
            await self._expose(exposure)
            counts, address = await self._spectrometer.acquire()
        return counts, address

    async def _blank_exposure(self) -> float:
        """An exposure at which the lamp's own line stays below the wanted fraction of full scale."""
        shortest, longest = self._range_s
        await self._expose(min(max(FIRST_INTEGRATION_S, shortest), longest))
        for _ in range(RANGE_ATTEMPTS):
            counts, _ = await self._spectrometer.acquire()
            bright = float(counts.max()) / self._layout.full_scale
            if bright < self._rules.saturation_fraction:
                factor = self._measure.target_fraction_of_full_scale / max(bright, 1e-3)
                return min(max(self._integration_s * factor, shortest), longest)
            await self._expose(max(self._integration_s * 0.3, shortest))
        return self._integration_s

    async def _average(self, exposure_s: float, repeats: int) -> tuple[Array, str]:
        import numpy as np

        await self._expose(exposure_s)
        frames: list[Array] = []
        for _ in range(repeats):
            counts, address = await self._spectrometer.acquire()
            frames.append(counts)
        return np.mean(np.asarray(frames), axis=0), address

    async def _expose(self, exposure_s: float) -> None:
        self._integration_s = await self._spectrometer.set_integration(exposure_s)
        await self._discard()

    async def _lamp(self, on: bool) -> None:
        await self._spectrometer.set_lamp(on)
        if self._integration_s > 0.0:
            await self._discard()

    async def _discard(self) -> None:
        """The first spectra after a change of lamp or exposure still show what was before."""
        for _ in range(self._measure.discard):
            await self._spectrometer.acquire()


def _known(values: Array | None) -> Array:
    if values is None:
        raise RuntimeError("the detector is asked for a spectrum before its blank was taken")
    return values
