"""The kinds of device that come with Lumiflow: their models, ports and addresses, and how their drivers are built."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from orchestrator.config import devices as models
from orchestrator.config.spectrometers import FolderSpectrometerConfig, OceanOpticsConfig
from orchestrator.kinds.kind import DeviceKind, DriverContext, PortKind

if TYPE_CHECKING:
    import drivers

_MODBUS: tuple[PortKind, ...] = ("modbus_rtu", "modbus_tcp")
_POWER = frozenset({"power_blip"})
_USB = frozenset({"usb_unplug", "usb_hang"})


@cache
def built_in_kinds() -> Mapping[str, DeviceKind]:
    """The kinds by their ``driver:``."""
    kinds = (
        DeviceKind(models.NewEraPumpConfig, ("serial",), _new_era, ("address",), _POWER),
        DeviceKind(models.HarvardPumpConfig, ("serial",), _harvard, ("address",), _POWER),
        DeviceKind(models.CavroPumpConfig, ("serial",), _cavro, ("addresses",), _POWER),
        DeviceKind(models.EurothermConfig, _MODBUS, _eurotherm, ("unit",)),
        DeviceKind(models.NanodacConfig, _MODBUS, _nanodac, ("unit",)),
        DeviceKind(models.WatlowConfig, _MODBUS, _watlow, ("unit",)),
        DeviceKind(models.OmegaConfig, _MODBUS, _omega, ("unit",)),
        DeviceKind(models.NovusConfig, _MODBUS, _novus, ("unit",)),
        DeviceKind(models.JulaboConfig, ("serial",), _julabo),
        DeviceKind(models.IkaConfig, ("serial",), _ika),
        DeviceKind(OceanOpticsConfig, ("usb", "ethernet"), _ocean_optics, (), _USB),
        DeviceKind(FolderSpectrometerConfig, ("folder",), _folder),
        DeviceKind(models.PressureConfig, _MODBUS, _pressure, ("unit", "register"), frozenset({"broken_wire"})),
        DeviceKind(models.ViciConfig, ("serial",), _vici, ("id",)),
        DeviceKind(models.AlicatConfig, ("serial",), _alicat, ("id",)),
        DeviceKind(models.BronkhorstConfig, ("serial",), _bronkhorst),
        DeviceKind(models.PhaseConfig, _MODBUS, _phase, ("unit", "register")),
    )
    return {kind.word: kind for kind in kinds}


# Pumps


def _new_era(context: DriverContext, name: str, config: models.NewEraPumpConfig) -> drivers.NewEraPump:
    from drivers import NewEraPump

    return NewEraPump(
        context.line(config.port),
        config.address,
        config.syringe.diameter_mm,
        config.syringe.volume_ul,
        safe_mode_timeout_s=config.safe_mode_timeout_s,
        name=name,
    )


def _harvard(context: DriverContext, name: str, config: models.HarvardPumpConfig) -> drivers.HarvardPump:
    from drivers import HarvardPump

    return HarvardPump(
        context.line(config.port),
        config.address,
        config.syringe.diameter_mm,
        config.syringe.volume_ul,
        model=config.model,
        name=name,
    )


def _cavro(context: DriverContext, name: str, config: models.CavroPumpConfig) -> drivers.CavroPump | drivers.CavroPair:
    from drivers import CavroPair, CavroPump

    line, volume_ul = context.line(config.port), config.syringe_volume_ul
    if len(config.addresses) == 1:
        return CavroPump(
            line,
            config.addresses[0],
            volume_ul,
            config.reservoir_ul,
            model=config.model,
            framing=config.framing,
            refill_flow_ul_min=config.refill_flow_ul_min,
            initialise=config.initialise,
            inlet=config.inlet,
            outlet=config.outlet,
            name=name,
        )
    first, second = config.addresses
    return CavroPair(
        line,
        (first, second),
        volume_ul,
        config.reservoir_ul,
        model=config.model,
        framing=config.framing,
        refill_flow_ul_min=config.refill_flow_ul_min,
        initialise=config.initialise,
        inlet=config.inlet,
        outlet=config.outlet,
        name=name,
    )


# Temperature controllers


def _heat(context: DriverContext, name: str) -> dict[str, Any]:
    """What every temperature controller is given."""
    return {
        "set_point_range_c": context.temperature_range_c,
        "safe_set_point_c": context.safe_temperature_c,
        "name": name,
    }


def _eurotherm(context: DriverContext, name: str, config: models.EurothermConfig) -> drivers.EurothermController:
    from drivers import EurothermController

    bus, registers = context.bus(config.port), config.registers
    return EurothermController(bus, config.unit, registers=registers, decimals=config.decimals, **_heat(context, name))


def _nanodac(context: DriverContext, name: str, config: models.NanodacConfig) -> drivers.NanodacController:
    from drivers import NanodacController

    bus = context.bus(config.port)
    return NanodacController(bus, config.unit, loop=config.loop, channel=config.channel, **_heat(context, name))


def _watlow(context: DriverContext, name: str, config: models.WatlowConfig) -> drivers.WatlowController:
    from drivers import WatlowController

    return WatlowController(
        context.bus(config.port),
        config.unit,
        word_order=config.word_order,
        temperature_unit=config.temperature_unit,
        **_heat(context, name),
    )


def _omega(context: DriverContext, name: str, config: models.OmegaConfig) -> drivers.OmegaController:
    from drivers import OmegaController

    return OmegaController(context.bus(config.port), config.unit, **_heat(context, name))


def _novus(context: DriverContext, name: str, config: models.NovusConfig) -> drivers.NovusController:
    from drivers import NovusController

    return NovusController(context.bus(config.port), config.unit, decimals=config.decimals, **_heat(context, name))


def _julabo(context: DriverContext, name: str, config: models.JulaboConfig) -> drivers.JulaboCirculator:
    from drivers import JulaboCirculator

    return JulaboCirculator(context.line(config.port), sensor=config.sensor, **_heat(context, name))


def _ika(context: DriverContext, name: str, config: models.IkaConfig) -> drivers.IkaHotplate:
    from drivers import IkaHotplate

    return IkaHotplate(
        context.line(config.port),
        sensor=config.sensor,
        watchdog_s=config.watchdog_s,
        watchdog_mode=config.watchdog_mode,
        **_heat(context, name),
    )


# Spectrometers


def _ocean_optics(context: DriverContext, name: str, config: OceanOpticsConfig) -> drivers.OceanSpectrometer:
    from drivers import LampLine, OceanSpectrometer

    port, backend, switch = context.port(config.port), context.usb_backend(config.port), config.lamp_line
    lamp = LampLine(mode=switch.mode, high_is_on=switch.on_level == "high", settle_s=switch.settle_s)
    if port.kind == "ethernet" and backend is None:
        return OceanSpectrometer(network=(port.host, port.tcp_port), model=config.model, lamp=lamp, name=name)
    # A twin's serial number is its own; only a real bus has several to choose from.
    wanted = port.serial_number if port.kind == "usb" and backend is None else None
    return OceanSpectrometer(wanted, backend, model=config.model, lamp=lamp, name=name)


def _folder(context: DriverContext, name: str, config: FolderSpectrometerConfig) -> drivers.FolderSpectrometer:
    from drivers import FolderSpectrometer

    return FolderSpectrometer(
        context.folder(config.port),
        config.files,
        integration_s=config.exposure_s,
        other_integration="keep",
        lamp="external",
        full_scale_counts=config.full_scale,
        timeout_s=3.0 * config.every_s + 10.0,
        stable_s=config.rests_s,
        poll_s=max(0.1, 0.05 * config.every_s),
        name=name,
    )


# Around the reactor


def _pressure(context: DriverContext, name: str, config: models.PressureConfig) -> drivers.PressureTransmitter:
    from drivers import PressureTransmitter

    low_kpa, high_kpa = config.range_kpa
    return PressureTransmitter(
        context.bus(config.port),
        config.unit,
        register=config.register_address,
        low_kpa=low_kpa,
        high_kpa=high_kpa,
        name=name,
    )


def _vici(context: DriverContext, name: str, config: models.ViciConfig) -> drivers.ViciSelector:
    from drivers import ViciSelector

    return ViciSelector(context.line(config.port), config.positions, unit=config.unit_id, name=name)


def _alicat(context: DriverContext, name: str, config: models.AlicatConfig) -> drivers.AlicatController:
    from drivers import AlicatController

    return AlicatController(
        context.line(config.port),
        config.unit_id,
        full_scale=config.full_scale,
        flow_unit=config.flow_unit,
        gas=config.gas,
        name=name,
    )


def _bronkhorst(context: DriverContext, name: str, config: models.BronkhorstConfig) -> drivers.BronkhorstController:
    from drivers import BronkhorstController

    return BronkhorstController(context.line(config.port), config.node, fluid=config.gas, name=name)


def _phase(context: DriverContext, name: str, config: models.PhaseConfig) -> drivers.PhaseSensor:
    from drivers import PhaseSensor

    return PhaseSensor(
        context.bus(config.port),
        config.unit,
        register=config.register_address,
        liquid_v=config.liquid_v,
        gas_v=config.gas_v,
        name=name,
    )
