"""The world behind a rig's twins, and what each twin is built from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drivers.ocean_models import SEABREEZE_MODELS
from orchestrator.config import DetectorConfig, LoadedCampaign, RigConfig, Tube, TwinFault
from orchestrator.config.campaign import Chemistry
from orchestrator.config.spectrometers import OceanOpticsConfig
from simulators import (
    ChemistrySpec,
    HeaterSpec,
    PressureSpec,
    PumpSpec,
    SpectrometerSpec,
    StockSpec,
    TubeSpec,
    World,
    WorldSpec,
)
from simulators.around import AlwaysLiquid, Atmosphere, CellView, GasLine, Rotor
from simulators.faults import Fault, FaultKind, Faults, Points
from simulators.ocean_models import MODELS
from simulators.plant import GasPlant, HeaterPlant, OpticsPlant, PhasePlant, PressurePlant, PumpPlant, ValvePlant
from simulators.specs import Regime
from simulators.thermal import HeatedBlock
from simulators.wire_faults import WireFaults

OCEAN_MODELS: Mapping[str, str] = SEABREEZE_MODELS
"""Models of rig files as the simulators call them: by seabreeze's names, too."""
_USUAL_FULL_SCALE = 65_535.0


@dataclass(frozen=True)
class Setting:
    """What a rig's twins are made of besides its rig file: chemistry, what is in the syringes, seed, what is spent.

    Without a campaign it is the default chemistry with the stocks that the rig file puts into the syringes.
    """

    chemistry: Chemistry = field(default_factory=Chemistry)
    syringes: Mapping[str, str] = field(default_factory=dict)
    seed: int = 1
    spent_ul: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, loaded: LoadedCampaign, spent_ul: Mapping[str, float] | None = None) -> Setting:
        """The setting of a campaign."""
        config = loaded.config
        return cls(config.chemistry, config.syringes, config.seed, spent_ul or {})


class Stage:
    """One simulated rig: its world, where faults reach its electronics, and the plants behind its devices.

    Args:
        rig: the rig file.
        setting: chemistry, contents, seed.
        start_s: the loop's time at which the world begins.
    """

    def __init__(self, rig: RigConfig, setting: Setting, start_s: float) -> None:
        self.rig = rig
        self.seed = setting.seed
        self.start_s = start_s
        self.world = World(world_spec(rig, setting), setting.seed, start_s)
        self.points = Points()
        fault_seed = setting.seed if rig.twin.fault_seed is None else rig.twin.fault_seed
        self.faults = Faults(self.world, self.points, fault_seed)
        self._heaters: dict[str, HeatedBlock] = {}
        self._valves: dict[str, Rotor] = {}
        self._gases: dict[str, GasLine] = {}

    def schedule_faults(self) -> None:
        """Have the faults of the rig file happen, on the running loop."""
        if self.rig.twin.faults:
            self.faults.schedule(asyncio.get_running_loop(), [_fault(entry) for entry in self.rig.twin.faults])

    def wire(self, port: str) -> WireFaults:
        """What goes wrong on a port."""
        return self.points.wires.setdefault(port, WireFaults(self.seed, port))

    # ---- plants ---------------------------------------------------------------------------------------------------

    def pump(self, name: str) -> PumpPlant:
        """A pump's mechanics, with its syringe or reservoir."""
        return self.world.pump(name)

    def heater(self, name: str) -> HeaterPlant:
        """The reactor's block; another heater has a block of its own."""
        if name == self.rig.plumbing.reactor.heater:
            return self.world.heater(name)
        if name not in self._heaters:
            self._heaters[name] = HeatedBlock(_heater_spec(self.rig, name), self.seed, self.start_s)
        return self._heaters[name]

    def pressure(self, name: str) -> PressurePlant:
        """The line behind the mixer; another sensor hangs on nothing."""
        return self.world.pressure(name) if name == self.rig.plumbing.pressure else Atmosphere()

    def optics(self, name: str, config: DetectorConfig) -> OpticsPlant:
        """The flow cell and its lamp; another spectrometer sees the same fluid with a lamp of its own."""
        if name == self.rig.plumbing.detector:
            return self.world.optics(name)
        return self.world.another_cell(_spectrometer_spec(self.rig, name, config))

    def wavelengths_nm(self, name: str, config: DetectorConfig) -> list[float]:
        """Wavelength of each pixel of a spectrometer's plant."""
        return _spectrometer_spec(self.rig, name, config).wavelengths_list_nm()

    def polynomial_nm(self, name: str, config: DetectorConfig) -> tuple[float, ...]:
        """The polynomial behind :meth:`wavelengths_nm`."""
        return _spectrometer_spec(self.rig, name, config).wavelength_coefficients_nm

    def valve(self, name: str, positions: int) -> ValvePlant:
        """A selector valve's rotor, on nothing."""
        return self._valves.setdefault(name, Rotor(positions))

    def gas(self, name: str) -> GasPlant:
        """A well supplied gas line that ends outside the reactor."""
        return self._gases.setdefault(name, GasLine(self.rig.twin.ambient_c))

    def phase(self, name: str) -> PhasePlant:
        """What the sensor in front of the flow cell sees; another one sees liquid."""
        return CellView(self.world.cell) if name == self.rig.plumbing.phase else AlwaysLiquid()

    def state(self, t_s: float) -> dict[str, Any]:
        """What is true of the rig at this moment, whatever its devices say: for who watches a served rig."""
        heaters: dict[str, HeaterPlant] = {self.world.spec.heater.name: self.world.block, **self._heaters}
        return {
            "t_s": round(t_s - self.start_s, 3),
            "heaters": {
                name: {
                    "temperature_c": round(block.process_value_c(t_s), 3),
                    "set_point_c": round(block.set_point_c(t_s), 3),
                    "output_fraction": round(block.output_fraction(t_s), 4),
                }
                for name, block in heaters.items()
            },
            "pumps": {
                name: {
                    "flow_ul_min": round(pump.commanded_ul_min, 4),
                    "infused_ul": round(pump.infused_ul(t_s), 3),
                    "content_ul": round(pump.content_ul(t_s), 3),
                    "stalled": pump.stalled(t_s),
                }
                for name, pump in self.world.network.pumps.items()
            },
            "pressure_kpa": round(self.world.tap.pressure_kpa(t_s), 3),
            "lamp_on": self.world.cell.lamp_is_on,
            "valves": {name: valve.position(t_s) for name, valve in self._valves.items()},
            "gases": {name: {"flow_mln_min": round(gas.flow_mln_min(t_s), 4)} for name, gas in self._gases.items()},
        }


BuildTwin = Callable[[Stage, Mapping[str, Any]], Any]
"""Takes the stage and the configurations of all devices of one kind on one port, by name. Gives, by kind of port:

``serial``: one ``simulators.links.StreamTwin`` for all of them. ``modbus_rtu`` and ``modbus_tcp``: a mapping of Modbus
address to ``simulators.wire_modbus.ModbusUnit``, or to a mapping of register to channel for devices of an input module.
``usb`` and ``ethernet``: a ``simulators.wire_ocean.OceanTwin``. ``folder``: a function that takes a folder and gives
something with ``start(loop)`` and ``stop()``.
"""


def truth_world(loaded: LoadedCampaign) -> World:
    """The twin of a campaign's rig by itself, whose ``truth`` scores a recipe without noise."""
    return World(world_spec(loaded.rig, Setting.of(loaded)), loaded.config.seed)


def world_spec(rig: RigConfig, setting: Setting) -> WorldSpec:
    """What the world is made of."""
    twin = rig.twin
    return WorldSpec(
        stocks=tuple(StockSpec(name, stock.concentrations_mm) for name, stock in rig.stocks.items()),
        pumps=tuple(
            PumpSpec(
                name,
                setting.syringes.get(name, pump.stock),
                syringe_volume_ul=pump.holds_ul,
                syringe_diameter_mm=pump.bore_mm,
                line_volume_ul=pump.line_volume_ul,
                ripple_cv=twin.ripple_cv,
                compliance_s=twin.compliance_s,
                fill_ul=max(pump.holds_ul - setting.spent_ul.get(name, 0.0), 0.0),
            )
            for name, pump in rig.pumps.items()
        ),
        reactor=_tube(rig.plumbing.reactor),
        transit=_tube(rig.plumbing.transit),
        heater=_heater_spec(rig, rig.plumbing.reactor.heater),
        pressure=PressureSpec(
            name=rig.plumbing.pressure or "pressure",
            viscosity_mpa_s=twin.viscosity_mpa_s,
            back_pressure_kpa=twin.back_pressure_kpa,
            noise_kpa=twin.pressure_noise_kpa,
        ),
        spectrometer=_spectrometer_spec(rig, rig.plumbing.detector, rig.detector),
        chemistry=ChemistrySpec(setting.chemistry.twin, setting.chemistry.parameters),
        composition_jitter=twin.composition_jitter,
        residence_jitter=twin.residence_jitter,
    )


def _heater_spec(rig: RigConfig, name: str) -> HeaterSpec:
    twin = rig.twin
    return HeaterSpec(
        name=name,
        ambient_c=twin.ambient_c,
        heat_capacity_j_k=twin.heat_capacity_j_k,
        loss_w_k=twin.loss_w_k,
        power_w=twin.power_w,
        sensor_lag_s=twin.sensor_lag_s,
    )


def _spectrometer_spec(rig: RigConfig, name: str, detector: DetectorConfig) -> SpectrometerSpec:
    """The usual spectrometer, with the pixels of its model and counts that fill its own full scale as well."""
    twin, usual = rig.twin, SpectrometerSpec()
    share = detector.full_scale_counts / _USUAL_FULL_SCALE
    model = MODELS[OCEAN_MODELS[detector.model]] if isinstance(detector, OceanOpticsConfig) else None
    odd = model is not None and model.name not in ("USB2000PLUS", "FLAMES")
    return SpectrometerSpec(
        name=name,
        pixels=model.pixels if model is not None and odd else usual.pixels,
        wavelength_coefficients_nm=(
            model.wavelength_polynomial_nm if model is not None and odd else usual.wavelength_coefficients_nm
        ),
        full_scale=detector.full_scale_counts,
        dark_counts_per_s=usual.dark_counts_per_s * share,
        baseline_counts=usual.baseline_counts * share,
        read_noise_counts=usual.read_noise_counts * share,
        photoelectrons_per_count=usual.photoelectrons_per_count / share,
        led_power_counts_s=usual.led_power_counts_s * share,
        mode="emission" if detector.sees_emission else "absorption",
        white_counts_s_nm=usual.white_counts_s_nm * share,
        led_wavelength_nm=twin.led_wavelength_nm,
        led_drift_per_h=twin.led_drift_per_h,
        wavelength_drift_nm_per_h=twin.wavelength_drift_nm_per_h,
    )


def _tube(tube: Tube) -> TubeSpec:
    regimes: Mapping[str, Regime] = {"segmented": "tanks", "laminar": "laminar", "plug": "plug"}
    return TubeSpec(length_mm=tube.length_mm, bore_mm=tube.bore_mm, regime=regimes[tube.flow], tanks=float(tube.tanks))


def _fault(entry: TwinFault) -> Fault:
    """A fault as the simulators take it, from its entry in the rig file."""
    return Fault(FaultKind(entry.fault), entry.target, entry.at_s, entry.duration_s, entry.size, entry.every_s)
