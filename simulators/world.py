"""The physical world behind a rig's devices: pumps, mixer, heated reactor, transit tube, flow cell, all of one seed.

Everything is a pure function of (spec, seed, start, the sequence of commands and exposures with their times). The
fluid and the heater advance on fixed grids, tick by tick, whoever asks, so that reading a temperature or a pressure
once more changes nothing; each exposure draws its noise from its own number.

The fluid at the detector is a mixture of parcels by age. In volume coordinates the parcel that entered the reactor
theta reactor volumes before it left is known exactly whatever the flows were: its composition from what the pumps
delivered then, its stay from when both coordinates passed the mixer, its extents of reaction from the heater's
history over that stay.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from simulators.chemistry import Array, Parcels, build_chemistry
from simulators.emission import HC_EV_NM, CellLight, cell_light, emission_per_ev, line_centre_and_width
from simulators.errors import SpecError, TimeReversalError, UnknownNameError
from simulators.fluidics import FASTEST_FLOW_UL_MIN, Network, SyringePump, pressure_drop_kpa
from simulators.noise import NoiseTable
from simulators.optics import FlowCell
from simulators.plant import HeaterPlant, OpticsPlant, PressurePlant, PumpPlant
from simulators.rtd import age_classes
from simulators.specs import SpectrometerSpec, WorldSpec
from simulators.steps import Steps
from simulators.thermal import HeatedBlock, RateIntegral

_REACTOR_CLASSES = 24
_TRANSIT_CLASSES = 4
_PRESSURE_NOISE_TICK_S = 0.1
_TRUTH_ENERGIES_EV = np.linspace(1.2, 3.6, 2401)


@dataclass(frozen=True)
class SteadyRecipe:
    """Nominal pump flows (pumps not named stand still) and the reactor's temperature."""

    flows_ul_min: Mapping[str, float]
    temperature_c: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "flows_ul_min", dict(self.flows_ul_min))
        for name, flow in self.flows_ul_min.items():
            if not math.isfinite(flow) or not 0.0 <= flow <= FASTEST_FLOW_UL_MIN:
                raise SpecError(f"SteadyRecipe.flows_ul_min[{name}]", flow, f"0 to {FASTEST_FLOW_UL_MIN:g}")
        if not math.isfinite(self.temperature_c) or not -50.0 <= self.temperature_c <= 500.0:
            raise SpecError("SteadyRecipe.temperature_c", self.temperature_c, "-50 to 500")
        if sum(self.flows_ul_min.values()) <= 0.0:
            raise SpecError("SteadyRecipe.flows_ul_min", dict(self.flows_ul_min), "a total flow above 0")


@dataclass(frozen=True)
class SteadyTruth:
    """What the detector's cell does in the noiseless steady state.

    `peak_ev` and `fwhm_ev` are of the photon spectrum per energy (nan where nothing is emitted); `peak_counts_s` is the
    emission on the brightest pixel; `edge_nm` and the halide fractions are means over the emitters.
    """

    peak_ev: float
    fwhm_ev: float
    quantum_yield: float
    absorbance_405: float
    peak_counts_s: float
    residence_time_s: float
    edge_nm: float
    iodide_fraction: float
    chloride_fraction: float


class PressureTap:
    """Gauge pressure at the mixer (a `PressurePlant`)."""

    def __init__(self, spec: WorldSpec, network: Network, seed: int, start_s: float) -> None:
        self._spec = spec.pressure
        self._network = network
        self._start_s = start_s
        drops = (pressure_drop_kpa(tube, 1.0, spec.pressure.viscosity_mpa_s) for tube in (spec.reactor, spec.transit))
        self._kpa_per_ul_min = sum(drops)
        self._noise = NoiseTable(seed, f"{spec.pressure.name} reading")
        self._clog: Steps[float | None] = Steps(None)

    def clog(self, t_s: float, doubling_s: float | None) -> None:
        """Have the resistance behind the mixer double every `doubling_s` from now on; None clears it."""
        if doubling_s is not None and not doubling_s > 0.0:
            raise SpecError(f"{self._spec.name}: doubling_s", doubling_s, "above 0")
        self._clog.set(t_s, doubling_s)

    def _narrowed(self, t_s: float) -> float:
        doubling_s = self._clog.at(t_s)
        return 1.0 if doubling_s is None else 2.0 ** min(self._clog.since(t_s) / doubling_s, 60.0)

    def pressure_kpa(self, t_s: float) -> float:
        flow = self._network.flow_ul_min(t_s)
        noise = self._spec.noise_kpa * self._noise(max(int((t_s - self._start_s) / _PRESSURE_NOISE_TICK_S), 0))
        resistance = self._kpa_per_ul_min
        if self._clog:
            resistance *= self._narrowed(t_s)
        return self._spec.back_pressure_kpa + resistance * flow + noise


class World:
    """One simulated rig. `start_s` is the loop's time at which it begins; nothing can be asked before that.

    Raises: UnknownNameError for a chemistry or constant that does not exist, SpecError for a chemistry value out of
    range.
    """

    def __init__(self, spec: WorldSpec, seed: int, start_s: float = 0.0) -> None:
        if not math.isfinite(start_s):
            raise TimeReversalError("world", start_s, 0.0)
        self.spec = spec
        self.seed = seed
        self.start_s = start_s
        self._chemistry = build_chemistry(spec.chemistry)
        self._network = Network(spec.pumps, seed, start_s, spec.fluid_tick_s)
        self._block = HeatedBlock(spec.heater, seed, start_s)
        self._integral = RateIntegral(self._block, self._chemistry.rates)
        self._pressure = PressureTap(spec, self._network, seed, start_s)
        self._cell = FlowCell(spec.spectrometer, self._chemistry, self._cell_at, seed, start_s)
        self._reactor = age_classes(spec.reactor, _REACTOR_CLASSES)
        self._transit = age_classes(spec.transit, _TRANSIT_CLASSES)
        self._weights: Array = np.outer(self._transit.weights, self._reactor.weights).ravel()
        stocks = {stock.name: stock.concentrations_mm for stock in spec.stocks}
        self._stock_mm: Array = np.array(
            [[stocks[pump.stock].get(species, 0.0) for pump in spec.pumps] for species in self._chemistry.species]
        )

    def pump(self, name: str) -> PumpPlant:
        """The mechanics of a pump. Raises: UnknownNameError."""
        found = self._network.pumps.get(name)
        if found is None:
            raise UnknownNameError("pump", name, self._network.pumps)
        return found

    def heater(self, name: str) -> HeaterPlant:
        """The heated block. Raises: UnknownNameError."""
        self._expect("heater", name, self.spec.heater.name)
        return self._block

    def pressure(self, name: str) -> PressurePlant:
        """The pressure at the mixer. Raises: UnknownNameError."""
        self._expect("pressure sensor", name, self.spec.pressure.name)
        return self._pressure

    def optics(self, name: str) -> OpticsPlant:
        """The lamp and cell in front of a spectrometer. Raises: UnknownNameError."""
        self._expect("spectrometer", name, self.spec.spectrometer.name)
        return self._cell

    def another_cell(self, spec: SpectrometerSpec) -> OpticsPlant:
        """One more spectrometer that looks at the same fluid, with a lamp of its own."""
        return FlowCell(spec, self._chemistry, self._cell_at, self.seed, self.start_s)

    @property
    def network(self) -> Network:
        """Pumps and mixer, for faults."""
        return self._network

    @property
    def block(self) -> HeatedBlock:
        """Heated block with its sensor and relay, for faults."""
        return self._block

    @property
    def tap(self) -> PressureTap:
        """Line from the mixer on, for faults."""
        return self._pressure

    @property
    def cell(self) -> FlowCell:
        """Lamp and flow cell, for faults."""
        return self._cell

    def syringe(self, name: str) -> SyringePump:
        """Motor, plunger and syringe of a pump, for faults. Raises: UnknownNameError."""
        found = self._network.pumps.get(name)
        if found is None:
            raise UnknownNameError("pump", name, self._network.pumps)
        return found

    @staticmethod
    def _expect(kind: str, asked: str, known: str) -> None:
        if asked != known:
            raise UnknownNameError(kind, asked, [known])

    def truth(self, recipe: SteadyRecipe) -> SteadyTruth:
        """The noiseless steady state of a recipe: nominal flows, the full residence-time distribution, no ripple or
        drift.

        Raises: UnknownNameError for a pump that does not exist.
        """
        pumps = [pump.name for pump in self.spec.pumps]
        for name in recipe.flows_ul_min:
            if name not in pumps:
                raise UnknownNameError("pump", name, pumps)
        flows = np.array([recipe.flows_ul_min.get(name, 0.0) for name in pumps])
        total = float(flows.sum())
        residence_s = self.spec.reactor.volume_ul / total * 60.0
        ages = self._reactor.ages
        concentrations = np.repeat((self._stock_mm @ (flows / total))[:, None], ages.size, axis=1)
        extents = self._chemistry.rates(np.array([recipe.temperature_c])) * (residence_s * ages)
        parcels = self._chemistry.parcels(concentrations, extents)
        weights = self._reactor.weights
        spectrometer = self.spec.spectrometer
        light = self._excite(parcels, weights)
        energies = _TRUTH_ENERGIES_EV
        spectrum = emission_per_ev(light, energies)
        peak_ev, fwhm_ev = line_centre_and_width(energies, spectrum)
        emitters = weights * parcels.emitter_mm
        mean = partial(_weighted_mean, emitters)
        pixel_nm = _pixel_width_nm(spectrometer.wavelengths_list_nm(), HC_EV_NM / peak_ev)
        brightest = float((spectrum * energies**2).max()) / HC_EV_NM
        return SteadyTruth(
            peak_ev=peak_ev,
            fwhm_ev=fwhm_ev,
            quantum_yield=light.quantum_yield,
            absorbance_405=light.absorbance,
            peak_counts_s=spectrometer.led_power_counts_s * brightest * pixel_nm,
            residence_time_s=residence_s,
            edge_nm=mean(parcels.edge_nm),
            iodide_fraction=mean(parcels.iodide_fraction),
            chloride_fraction=mean(parcels.chloride_fraction),
        )

    def _excite(self, parcels: Parcels, weights: Array) -> CellLight:
        spectrometer = self.spec.spectrometer
        excitation_ev = HC_EV_NM / spectrometer.led_wavelength_nm
        return cell_light(self._chemistry, parcels, weights, spectrometer.path_length_mm, excitation_ev)

    def _cell_at(self, t_s: float, noise: np.random.Generator) -> CellLight:
        """What is in the cell at `t_s`; every exposure sees its own small jitter of composition and residence time."""
        spec, network = self.spec, self._network
        reactor, volume_ul = self._reactor, self.spec.reactor.volume_ul
        left = network.mixed_ul(t_s) - self._transit.ages * spec.transit.volume_ul
        left = np.repeat(left, reactor.ages.size)
        repeats = self._transit.ages.size
        ages, youngest, oldest = (np.tile(a, repeats) for a in (reactor.ages, reactor.youngest, reactor.oldest))
        shares = network.feed_shares(left - oldest * volume_ul, left - youngest * volume_ul, t_s)
        leave_s = network.times_of(left, t_s)
        enter_s = network.times_of(left - ages * volume_ul, t_s)
        concentrations = self._stock_mm @ shares
        extents = self._integral.between(enter_s, leave_s, t_s)
        jitter = noise.standard_normal(concentrations.shape[0] + 1)
        concentrations *= np.maximum(1.0 + spec.composition_jitter * jitter[:-1, None], 0.0)
        extents *= max(1.0 + spec.residence_jitter * float(jitter[-1]), 0.0)
        return self._excite(self._chemistry.parcels(concentrations, extents), self._weights)


def _weighted_mean(weights: Array, values: Array) -> float:
    total = float(weights.sum())
    return float(weights @ values) / total if total > 0.0 else math.nan


def _pixel_width_nm(wavelengths_nm: list[float], wavelength_nm: float) -> float:
    if math.isnan(wavelength_nm):
        return 0.0
    nm = np.array(wavelengths_nm)
    return float(np.interp(wavelength_nm, nm, np.gradient(nm)))
