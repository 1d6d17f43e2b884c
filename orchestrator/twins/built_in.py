"""Twins of the kinds of device that come with Lumiflow, and those of installed packages."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from orchestrator.config import devices as models
from orchestrator.config.spectrometers import FolderSpectrometerConfig, OceanOpticsConfig
from orchestrator.errors import RigFault
from orchestrator.kinds.registry import BrokenPlugin, load_plugins
from orchestrator.twins.stage import OCEAN_MODELS, BuildTwin, Stage
from simulators.wire_alicat import AlicatTwin, AlicatUnit
from simulators.wire_bronkhorst import BronkhorstTwin
from simulators.wire_cavro import CavroTwin, SharedOutlet
from simulators.wire_eurotherm import EurothermTwin
from simulators.wire_folder import FolderTwin
from simulators.wire_harvard import HarvardTwin
from simulators.wire_nanodac import NanodacTwin
from simulators.wire_new_era import NewEraTwin
from simulators.wire_novus import NovusTwin
from simulators.wire_ocean import OceanTwin
from simulators.wire_omega import OmegaTwin
from simulators.wire_phase import PhaseChannel
from simulators.wire_pressure import PressureChannel
from simulators.wire_thermostats import IkaTwin, JulaboTwin
from simulators.wire_vici import ViciActuator, ViciTwin
from simulators.wire_watlow import WatlowTwin

TWINS = "lumiflow.twins"
"""Entry points of this group load to a :data:`BuildTwin`; their name is the ``driver:`` of its kind."""
_FILES_KEPT = 20


def twin_of(word: str) -> BuildTwin:
    """What builds the twins of a kind. Raises RigFault where there is none, or its plugin does not load."""
    found, broken = _twins()
    if word in found:
        return found[word]
    if word in broken:
        raise RigFault(f"no twin of a {word} device: {broken[word]}")
    raise RigFault(f"there is no twin of a {word} device: run on hardware, or add one by an entry point of {TWINS}")


@cache
def _twins() -> tuple[Mapping[str, BuildTwin], Mapping[str, BrokenPlugin]]:
    plugins, broken = load_plugins(TWINS, _checked)
    return MappingProxyType({**plugins, **_BUILT_IN}), MappingProxyType(broken)


def _checked(name: str, build: Any) -> BuildTwin:
    if not callable(build):
        raise TypeError(f"it is a {type(build).__name__}, not a function that builds twins")
    found: BuildTwin = build
    return found


# Pumps


def _new_era(stage: Stage, pumps: Mapping[str, models.NewEraPumpConfig]) -> NewEraTwin:
    twin = NewEraTwin({pump.address: stage.pump(name) for name, pump in pumps.items()})
    for name, pump in pumps.items():
        stage.points.power[name] = partial(twin.power_cycle, pump.address)
    return twin


def _harvard(stage: Stage, pumps: Mapping[str, models.HarvardPumpConfig]) -> HarvardTwin:
    twin = HarvardTwin({pump.address: stage.pump(name) for name, pump in pumps.items()})
    for name, pump in pumps.items():
        stage.points.power[name] = partial(twin.power_cycle, pump.address)
    return twin


def _cavro(stage: Stage, pumps: Mapping[str, models.CavroPumpConfig]) -> CavroTwin:
    """Empty syringes on an outlet that they share; what they draw comes from a reservoir, the plant's own content."""
    plants, volumes, sides = {}, {}, {}
    for name, pump in pumps.items():
        outlet = SharedOutlet(stage.pump(name), len(pump.addresses))
        right = (pump.initialise == "Z") == (pump.outlet == "O")
        side: Literal["right", "left"] = "right" if right else "left"
        for address, share in zip(pump.addresses, outlet.shares, strict=True):
            plants[address], volumes[address], sides[address] = share, pump.syringe_volume_ul, side
    first = next(iter(pumps.values()))
    twin = CavroTwin(plants, syringe_volume_ul=volumes, model=first.model, reactor_side=sides)
    for name, pump in pumps.items():
        stage.points.power[name] = partial(_cut_power, twin, pump.addresses)
    return twin


def _cut_power(twin: CavroTwin, addresses: tuple[int, ...]) -> None:
    for address in addresses:
        twin.power_cycle(address)


# Temperature controllers


def _set_points_c(stage: Stage, usual_c: tuple[float, float] = (0.0, 300.0)) -> tuple[float, float]:
    """What a twin takes as a set-point: the usual, and whatever else lies within the rig's limits.

    Whole degrees beyond them, for a limit may be rounded up on its way to a controller that holds few digits.
    """
    low_c, high_c = stage.rig.limits.temperature_c
    return min(float(math.floor(low_c)), usual_c[0]), max(float(math.ceil(high_c)), usual_c[1])


def _eurotherm(stage: Stage, heaters: Mapping[str, models.EurothermConfig]) -> dict[int, Any]:
    reach_c = _set_points_c(stage)
    return {
        heater.unit: EurothermTwin(stage.heater(name), decimals=heater.decimals, set_point_range_c=reach_c)
        for name, heater in heaters.items()
    }


def _nanodac(stage: Stage, heaters: Mapping[str, models.NanodacConfig]) -> dict[int, Any]:
    return {
        heater.unit: NanodacTwin(
            stage.heater(name), loop=heater.loop, channel=heater.channel, set_point_range_c=_set_points_c(stage)
        )
        for name, heater in heaters.items()
    }


def _watlow(stage: Stage, heaters: Mapping[str, models.WatlowConfig]) -> dict[int, Any]:
    return {
        heater.unit: WatlowTwin(
            stage.heater(name),
            low_word_first=heater.word_order == "low first",
            fahrenheit=heater.temperature_unit != "C",
            set_point_range_c=_set_points_c(stage),
        )
        for name, heater in heaters.items()
    }


def _omega(stage: Stage, heaters: Mapping[str, models.OmegaConfig]) -> dict[int, Any]:
    reach_c = _set_points_c(stage)
    return {heater.unit: OmegaTwin(stage.heater(name), set_point_range_c=reach_c) for name, heater in heaters.items()}


def _novus(stage: Stage, heaters: Mapping[str, models.NovusConfig]) -> dict[int, Any]:
    return {
        heater.unit: NovusTwin(
            stage.heater(name),
            decimals=1 if heater.decimals is None else heater.decimals,
            set_point_range_c=_set_points_c(stage),
        )
        for name, heater in heaters.items()
    }


def _julabo(stage: Stage, heaters: Mapping[str, models.JulaboConfig]) -> JulaboTwin:
    reach_c = _set_points_c(stage, (-30.0, 200.0))
    return JulaboTwin(stage.heater(next(iter(heaters))), set_point_range_c=reach_c, warning_limits_c=reach_c)


def _ika(stage: Stage, heaters: Mapping[str, models.IkaConfig]) -> IkaTwin:
    return IkaTwin(stage.heater(next(iter(heaters))), set_point_range_c=_set_points_c(stage, (0.0, 310.0)))


# Spectrometers


def _ocean_optics(stage: Stage, spectrometers: Mapping[str, OceanOpticsConfig]) -> OceanTwin:
    name, config = next(iter(spectrometers.items()))
    model = OCEAN_MODELS[config.model]
    twin = OceanTwin(
        stage.optics(name, config),
        model=model,
        serial_number="USB2+H00001" if model == "USB2000PLUS" else f"{model[:8]}00001",
        wavelength_polynomial_nm=stage.polynomial_nm(name, config),
        lamp_high_is_on=config.lamp_line.on_level == "high",
    )
    stage.points.spectrometers[name] = twin
    return twin


def _folder(stage: Stage, spectrometers: Mapping[str, FolderSpectrometerConfig]) -> Callable[[Path], FolderTwin]:
    name, config = next(iter(spectrometers.items()))
    plant, wavelengths_nm = stage.optics(name, config), np.asarray(stage.wavelengths_nm(name, config))

    def into(folder: Path) -> FolderTwin:
        writing_s = min(0.2, 0.1 * config.every_s)
        return FolderTwin(
            plant,
            folder,
            wavelengths_nm,
            integration_s=config.exposure_s,
            period_s=max(config.every_s, config.exposure_s + 2.0 * writing_s),
            dialect="jcamp" if config.files.lower().endswith((".jdx", ".dx")) else "csv",
            writing_s=writing_s,
            subtracts_dark=True,
            keeps=_FILES_KEPT,
        )

    return into


# Around the reactor


def _pressure(stage: Stage, sensors: Mapping[str, models.PressureConfig]) -> dict[int, Any]:
    units: dict[int, dict[int, PressureChannel]] = {}
    for name, sensor in sensors.items():
        low_kpa, high_kpa = sensor.range_kpa
        channel = PressureChannel(stage.pressure(name), low_kpa, high_kpa)
        units.setdefault(sensor.unit, {})[sensor.register_address] = channel
        stage.points.channels[name] = channel
    return dict(units)


def _phase(stage: Stage, sensors: Mapping[str, models.PhaseConfig]) -> dict[int, Any]:
    units: dict[int, dict[int, PhaseChannel]] = {}
    for name, sensor in sensors.items():
        channel = PhaseChannel(stage.phase(name), sensor.liquid_v, sensor.gas_v)
        units.setdefault(sensor.unit, {})[sensor.register_address] = channel
    return dict(units)


def _vici(stage: Stage, valves: Mapping[str, models.ViciConfig]) -> ViciTwin:
    return ViciTwin(
        {
            valve.unit_id: ViciActuator(stage.valve(name, valve.positions), valve.positions)
            for name, valve in valves.items()
        }
    )


def _alicat(stage: Stage, gases: Mapping[str, models.AlicatConfig]) -> AlicatTwin:
    return AlicatTwin(
        {
            gas.unit_id: AlicatUnit(
                stage.gas(name), full_scale=gas.full_scale, flow_unit=gas.flow_unit, gas=gas.gas or "N2"
            )
            for name, gas in gases.items()
        }
    )


def _bronkhorst(stage: Stage, gases: Mapping[str, models.BronkhorstConfig]) -> BronkhorstTwin:
    name, gas = next(iter(gases.items()))
    return BronkhorstTwin(stage.gas(name), node=3 if gas.node == 128 else gas.node, fluid=gas.gas or "N2")


_BUILT_IN: Mapping[str, BuildTwin] = MappingProxyType(
    {
        "new_era": _new_era,
        "harvard": _harvard,
        "cavro": _cavro,
        "eurotherm": _eurotherm,
        "nanodac": _nanodac,
        "watlow": _watlow,
        "omega": _omega,
        "novus": _novus,
        "julabo": _julabo,
        "ika": _ika,
        "ocean_optics": _ocean_optics,
        "folder": _folder,
        "pressure_4_20ma": _pressure,
        "phase_0_5v": _phase,
        "vici": _vici,
        "alicat": _alicat,
        "bronkhorst": _bronkhorst,
    }
)
