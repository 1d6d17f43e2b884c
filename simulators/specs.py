"""What a simulated rig is made of: frozen, validated at construction, units in the names.

The defaults describe a bench that works: a 2 m x 0.5 mm segmented-flow reactor (393 µL), a 60 cm transit tube (118 µL),
an aluminium block of 60 J/K with a 120 W cartridge, and a USB2000+ looking through 0.5 mm of fluid lit by a 405 nm LED.
Every range error is a `SpecError` that names the field, the value and the allowed range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from simulators.errors import SpecError

Regime = Literal["laminar", "tanks", "plug"]


def _within(owner: object, name: str, value: float, low: float, high: float, *, open_low: bool = False) -> None:
    allowed = f"{'above' if open_low else 'from'} {low:g} to {high:g}"
    where = f"{type(owner).__name__}.{name}"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SpecError(where, value, allowed)
    if value > high or value < low or (open_low and value == low):
        raise SpecError(where, value, allowed)


def _named(owner: object, name: str) -> None:
    if not name or not isinstance(name, str):
        raise SpecError(f"{type(owner).__name__}.name", name, "a non-empty string")


@dataclass(frozen=True)
class StockSpec:
    """A stock solution: species symbol -> concentration in mM; a pure solvent has no species.

    The chemistry reads the symbols it knows (`cspbx3`: Cs, Pb, Br, I, Cl, ligand); others (Zn, say) are ignored.
    """

    name: str
    concentrations_mm: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _named(self, self.name)
        for species, value in self.concentrations_mm.items():
            _within(self, f"concentrations_mm[{species}]", value, 0.0, 20_000.0)
        object.__setattr__(self, "concentrations_mm", dict(self.concentrations_mm))


@dataclass(frozen=True)
class PumpSpec:
    """A syringe pump with its syringe and the line to the mixer.

    `ripple_cv` is the coefficient of variation of the flow: below 0.07 lubricated, up to 0.34 dry, at 5 to 100 µL/min
    (Leuthner & Hayden, Lab Chip 2024, d3lc00698k). The default 0.03, the plunger travel of one ripple cycle
    (`ripple_travel_mm`) and the share of it that is random are assumed. `compliance_s` is the R*C time constant of
    syringe and line. `fill_ul` is what the syringe holds at the start (default: full). An unprimed line starts full
    of solvent.
    """

    name: str
    stock: str
    syringe_volume_ul: float = 50_000.0
    syringe_diameter_mm: float = 26.7
    ripple_cv: float = 0.03
    compliance_s: float = 1.5
    line_volume_ul: float = 30.0
    fill_ul: float | None = None
    primed: bool = True
    ripple_travel_mm: float = 0.005
    stall_delay_s: float = 2.0

    def __post_init__(self) -> None:
        _named(self, self.name)
        _within(self, "syringe_volume_ul", self.syringe_volume_ul, 0.0, 1e6, open_low=True)
        _within(self, "syringe_diameter_mm", self.syringe_diameter_mm, 0.0, 60.0, open_low=True)
        _within(self, "ripple_cv", self.ripple_cv, 0.0, 0.5)
        _within(self, "compliance_s", self.compliance_s, 0.0, 600.0)
        _within(self, "line_volume_ul", self.line_volume_ul, 0.0, 1e5)
        _within(self, "ripple_travel_mm", self.ripple_travel_mm, 0.0, 5.0, open_low=True)
        _within(self, "stall_delay_s", self.stall_delay_s, 0.0, 600.0)
        if self.fill_ul is not None:
            _within(self, "fill_ul", self.fill_ul, 0.0, self.syringe_volume_ul)

    @property
    def initial_fill_ul(self) -> float:
        """Content of the syringe at the start, µL."""
        return self.syringe_volume_ul if self.fill_ul is None else self.fill_ul

    @property
    def ripple_cycle_ul(self) -> float:
        """Volume of one ripple cycle, µL (1 mm³ = 1 µL)."""
        return self.ripple_travel_mm * math.pi * self.syringe_diameter_mm**2 / 4.0


@dataclass(frozen=True)
class TubeSpec:
    """A round tube and its residence-time distribution: laminar convective, tanks in series (segmented), or plug."""

    length_mm: float
    bore_mm: float
    regime: Regime = "tanks"
    tanks: float = 30.0

    def __post_init__(self) -> None:
        _within(self, "length_mm", self.length_mm, 0.0, 1e6, open_low=True)
        _within(self, "bore_mm", self.bore_mm, 0.0, 50.0, open_low=True)
        _within(self, "tanks", self.tanks, 1.0, 1000.0)
        if self.regime not in ("laminar", "tanks", "plug"):
            raise SpecError("TubeSpec.regime", self.regime, "laminar, tanks or plug")

    @property
    def volume_ul(self) -> float:
        """Inner volume, µL."""
        return math.pi * self.bore_mm**2 / 4.0 * self.length_mm


@dataclass(frozen=True)
class HeaterSpec:
    """A heated block and its PID controller (all values assumed, of the size of a small aluminium block).

    `proportional_per_k` is output fraction per kelvin of error, `integral_s` and `derivative_s` the PID times; the
    derivative acts on the measurement, and integration stops while the output is saturated. `tick_s` is the period.
    """

    name: str = "heater"
    ambient_c: float = 25.0
    heat_capacity_j_k: float = 60.0
    loss_w_k: float = 0.4
    power_w: float = 120.0
    sensor_lag_s: float = 2.5
    sensor_noise_k: float = 0.02
    proportional_per_k: float = 0.06
    integral_s: float = 55.0
    derivative_s: float = 2.0
    tick_s: float = 0.25

    def __post_init__(self) -> None:
        _named(self, self.name)
        _within(self, "ambient_c", self.ambient_c, -50.0, 80.0)
        _within(self, "heat_capacity_j_k", self.heat_capacity_j_k, 0.0, 1e5, open_low=True)
        _within(self, "loss_w_k", self.loss_w_k, 0.0, 1e3, open_low=True)
        _within(self, "power_w", self.power_w, 0.0, 1e5, open_low=True)
        _within(self, "sensor_lag_s", self.sensor_lag_s, 0.0, 600.0)
        _within(self, "sensor_noise_k", self.sensor_noise_k, 0.0, 10.0)
        _within(self, "proportional_per_k", self.proportional_per_k, 0.0, 10.0, open_low=True)
        _within(self, "integral_s", self.integral_s, 0.0, 1e5, open_low=True)
        _within(self, "derivative_s", self.derivative_s, 0.0, 1e4)
        _within(self, "tick_s", self.tick_s, 0.05, 1.0)


@dataclass(frozen=True)
class PressureSpec:
    """A gauge-pressure transmitter at the mixer. Back pressure is what the outlet regulator holds."""

    name: str = "pressure"
    viscosity_mpa_s: float = 1.5
    back_pressure_kpa: float = 0.0
    noise_kpa: float = 0.05

    def __post_init__(self) -> None:
        _named(self, self.name)
        _within(self, "viscosity_mpa_s", self.viscosity_mpa_s, 0.0, 1e4, open_low=True)
        _within(self, "back_pressure_kpa", self.back_pressure_kpa, 0.0, 1e4)
        _within(self, "noise_kpa", self.noise_kpa, 0.0, 100.0)


@dataclass(frozen=True)
class SpectrometerSpec:
    """A fibre spectrometer, its excitation LED and its flow cell.

    Wavelength of pixel p: sum of `wavelength_coefficients_nm[k] * p**k`. 160,000 photoelectrons at full scale (Flame,
    maker's figure); the other values are assumed, of the size of a USB2000+ with a 405 nm LED across a 0.5 mm
    capillary: `led_power_counts_s` is the signal, summed over pixels, if every LED photon were absorbed and came back
    as emission; `led_leak_fraction` is the share of it that reaches the detector as the LED's own line through clear
    solvent. In ``absorption`` a white lamp shines through the cell instead, switched or shuttered by the same line: a
    balanced tungsten lamp as the detector sees it, Gaussian in wavelength, all three numbers assumed.
    """

    name: str = "spectrometer"
    pixels: int = 2048
    wavelength_coefficients_nm: tuple[float, ...] = (339.5, 0.3796, -1.47e-5, -2.2e-9)
    full_scale: float = 65_535.0
    dark_counts_per_s: float = 60.0
    baseline_counts: float = 1_450.0
    read_noise_counts: float = 45.0
    photoelectrons_per_count: float = 160_000.0 / 65_535.0
    stray_fraction: float = 2.0e-5
    optically_dark_pixels: int = 21
    led_wavelength_nm: float = 405.0
    led_fwhm_nm: float = 11.0
    led_power_counts_s: float = 6.0e7
    led_leak_fraction: float = 0.03
    led_drift_per_h: float = -0.003
    wavelength_drift_nm_per_h: float = 0.004
    path_length_mm: float = 0.5
    mode: Literal["emission", "absorption"] = "emission"
    white_counts_s_nm: float = 1.0e6
    white_centre_nm: float = 640.0
    white_sigma_nm: float = 140.0

    def __post_init__(self) -> None:
        _named(self, self.name)
        if self.mode not in ("emission", "absorption"):
            raise SpecError("SpectrometerSpec.mode", self.mode, "emission or absorption")
        if not isinstance(self.pixels, int) or not 16 <= self.pixels <= 16_384:
            raise SpecError("SpectrometerSpec.pixels", self.pixels, "an integer from 16 to 16384")
        object.__setattr__(self, "wavelength_coefficients_nm", tuple(float(c) for c in self.wavelength_coefficients_nm))
        if not 2 <= len(self.wavelength_coefficients_nm) <= 6:
            raise SpecError(
                "SpectrometerSpec.wavelength_coefficients_nm", self.wavelength_coefficients_nm, "2 to 6 coefficients"
            )
        steps = self.wavelengths_list_nm()
        if steps[0] <= 0 or any(b <= a for a, b in pairwise(steps)):
            raise SpecError(
                "SpectrometerSpec.wavelength_coefficients_nm",
                self.wavelength_coefficients_nm,
                "positive wavelengths that rise from pixel to pixel",
            )
        _within(self, "full_scale", self.full_scale, 1.0, 1e9)
        _within(self, "dark_counts_per_s", self.dark_counts_per_s, 0.0, 1e9)
        _within(self, "baseline_counts", self.baseline_counts, 0.0, self.full_scale)
        _within(self, "read_noise_counts", self.read_noise_counts, 0.0, self.full_scale)
        _within(self, "photoelectrons_per_count", self.photoelectrons_per_count, 0.0, 1e15, open_low=True)
        _within(self, "stray_fraction", self.stray_fraction, 0.0, 0.1)
        _within(self, "optically_dark_pixels", self.optically_dark_pixels, 0, self.pixels // 2)
        _within(self, "led_wavelength_nm", self.led_wavelength_nm, 200.0, 1100.0)
        _within(self, "led_fwhm_nm", self.led_fwhm_nm, 0.1, 100.0)
        _within(self, "led_power_counts_s", self.led_power_counts_s, 0.0, 1e12)
        _within(self, "led_leak_fraction", self.led_leak_fraction, 0.0, 1.0)
        _within(self, "led_drift_per_h", self.led_drift_per_h, -0.5, 0.5)
        _within(self, "wavelength_drift_nm_per_h", self.wavelength_drift_nm_per_h, -5.0, 5.0)
        _within(self, "path_length_mm", self.path_length_mm, 0.0, 100.0, open_low=True)
        _within(self, "white_counts_s_nm", self.white_counts_s_nm, 0.0, 1e12)
        _within(self, "white_centre_nm", self.white_centre_nm, 200.0, 1100.0)
        _within(self, "white_sigma_nm", self.white_sigma_nm, 1.0, 1000.0)

    def wavelengths_list_nm(self) -> list[float]:
        """Nominal wavelength of each pixel, nm."""
        out = []
        for pixel in range(self.pixels):
            value = 0.0
            for coefficient in reversed(self.wavelength_coefficients_nm):
                value = value * pixel + coefficient
            out.append(value)
        return out


@dataclass(frozen=True)
class ChemistrySpec:
    """Which chemistry runs in the tube, and those of its constants that differ from the defaults (it checks them)."""

    name: str = "cspbx3"
    parameters: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _named(self, self.name)
        for key, value in self.parameters.items():
            _within(self, f"parameters[{key}]", value, -1e12, 1e12)
        object.__setattr__(self, "parameters", dict(self.parameters))


@dataclass(frozen=True)
class WorldSpec:
    """A whole rig: stocks and pumps into one mixer, a heated reactor, a cold transit tube, a detector cell.

    `composition_jitter` is the relative drop-to-drop spread of each species in one exposure, `residence_jitter` that of
    the residence time (both assumed; they set the repeatability of a fitted peak to about 1 meV). `fluid_tick_s` is the
    grid of the flow history.
    """

    stocks: tuple[StockSpec, ...]
    pumps: tuple[PumpSpec, ...]
    reactor: TubeSpec = TubeSpec(length_mm=2000.0, bore_mm=0.5)
    transit: TubeSpec = TubeSpec(length_mm=600.0, bore_mm=0.5)
    heater: HeaterSpec = HeaterSpec()
    pressure: PressureSpec = PressureSpec()
    spectrometer: SpectrometerSpec = SpectrometerSpec()
    chemistry: ChemistrySpec = ChemistrySpec()
    composition_jitter: float = 0.004
    residence_jitter: float = 0.01
    fluid_tick_s: float = 0.5

    def __post_init__(self) -> None:
        object.__setattr__(self, "stocks", tuple(self.stocks))
        object.__setattr__(self, "pumps", tuple(self.pumps))
        stocks = [stock.name for stock in self.stocks]
        devices = [pump.name for pump in self.pumps]
        devices += [self.heater.name, self.pressure.name, self.spectrometer.name]
        for kind, names in (("stocks", stocks), ("pumps", devices)):
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise SpecError(f"WorldSpec.{kind}", repeated, "each name once")
        if not self.pumps:
            raise SpecError("WorldSpec.pumps", self.pumps, "at least one pump")
        for pump in self.pumps:
            if pump.stock not in stocks:
                raise SpecError(f"WorldSpec.pumps[{pump.name}].stock", pump.stock, f"one of {', '.join(stocks)}")
        _within(self, "composition_jitter", self.composition_jitter, 0.0, 0.2)
        _within(self, "residence_jitter", self.residence_jitter, 0.0, 0.5)
        _within(self, "fluid_tick_s", self.fluid_tick_s, 0.05, 2.0)
