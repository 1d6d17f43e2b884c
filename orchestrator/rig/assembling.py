"""Drivers on their wires, each on its recovery ladder and behind the rig's limits.

Nothing here knows what the wires end in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from drivers import (
    Line,
    ModbusBus,
    RecoveringGas,
    RecoveringHeater,
    RecoveringPhase,
    RecoveringPressure,
    RecoveringPump,
    RecoveringSpectrometer,
    RecoveringValve,
    RecoveryRules,
    RtuLink,
    SerialTransport,
    TcpLink,
    Transport,
)
from orchestrator.config import (
    DetectorConfig,
    DeviceConfig,
    FolderPort,
    ModbusRtuPort,
    ModbusTcpPort,
    Port,
    RigConfig,
    SerialPort,
)
from orchestrator.config.device_roles import ValveConfig
from orchestrator.errors import RigFault
from orchestrator.kinds import Role, kind_of
from orchestrator.rig.devices import RigHeater, RigPressure, RigPump, RigSpectrometer, Tracer
from orchestrator.rig.devices_around import RigGas, RigPhase, RigValve
from orchestrator.rig.rig import Around, Rig
from orchestrator.spectra.analysis import OpticalLayout

if TYPE_CHECKING:
    from drivers.modbus import Connect

_PARITIES: Mapping[str, Literal["N", "E", "O"]] = {"none": "N", "even": "E", "odd": "O"}
_ROOM_C = 20.0
_LADDERS: Mapping[Role, Callable[..., Any]] = {
    "pump": RecoveringPump,
    "heater": RecoveringHeater,
    "spectrometer": RecoveringSpectrometer,
    "pressure": RecoveringPressure,
    "valve": RecoveringValve,
    "gas": RecoveringGas,
    "phase": RecoveringPhase,
}


class Wires(Protocol):
    """What the ports of a rig end in: steel or twins."""

    @property
    def exact_restart(self) -> bool:
        """Whether the world behind the wires can be brought back exactly."""
        ...

    @property
    def released(self) -> tuple[Callable[[], None], ...]:
        """What to call once all devices are closed."""
        ...

    @property
    def faults(self) -> Any:
        """Where faults are injected; None on steel."""
        ...

    def transport(self, port: str) -> Transport:
        """The bytes of a serial port."""
        ...

    def modbus_connect(self, port: str) -> Connect | None:
        """What a Modbus port is opened with; None for the system's own ports."""
        ...

    def usb_backend(self, port: str) -> str | None:
        """The pyusb backend of a spectrometer's port; None for the system's."""
        ...

    def folder(self, port: str) -> Path:
        """Where a folder port's files appear."""
        ...


class Steel:
    """Real ports."""

    exact_restart = False
    released: tuple[Callable[[], None], ...] = ()
    faults: Any = None

    def __init__(self, rig: RigConfig) -> None:
        self._rig = rig

    def transport(self, port: str) -> Transport:
        entry = self._rig.ports[port]
        if not isinstance(entry, SerialPort):
            raise RigFault(f"port {port} is no serial line")
        return SerialTransport(entry.url, entry.baud_rate, entry.data_bits, _PARITIES[entry.parity], entry.stop_bits)

    def modbus_connect(self, port: str) -> Connect | None:
        return None

    def usb_backend(self, port: str) -> str | None:
        return None

    def folder(self, port: str) -> Path:
        entry = self._rig.ports[port]
        if not isinstance(entry, FolderPort):
            raise RigFault(f"port {port} is no folder")
        return Path(entry.path)


class SharedPorts:
    """The lines and buses of a rig, each made once (a ``kinds.DriverContext``)."""

    def __init__(self, rig: RigConfig, wires: Wires) -> None:
        self._rig = rig
        self._wires = wires
        self._lines: dict[str, Line] = {}
        self._buses: dict[str, ModbusBus] = {}
        self._backends: dict[str, str | None] = {}

    @property
    def temperature_range_c(self) -> tuple[float, float]:
        return self._rig.limits.temperature_c

    @property
    def safe_temperature_c(self) -> float:
        low, high = self._rig.limits.temperature_c
        return min(max(_ROOM_C, low), high)

    def port(self, name: str) -> Port:
        return self._rig.ports[name]

    def line(self, port: str) -> Line:
        if port not in self._lines:
            self._lines[port] = Line(self._wires.transport(port))
        return self._lines[port]

    def bus(self, port: str) -> ModbusBus:
        if port not in self._buses:
            entry = self._rig.ports[port]
            if isinstance(entry, ModbusTcpPort):
                link: RtuLink | TcpLink = TcpLink(entry.host, entry.tcp_port)
            elif isinstance(entry, ModbusRtuPort):
                link = RtuLink(entry.url, entry.baud_rate, _PARITIES[entry.parity], entry.stop_bits)
            else:
                raise RigFault(f"port {port} is no Modbus bus")
            self._buses[port] = ModbusBus(link, connect=self._wires.modbus_connect(port))
        return self._buses[port]

    def usb_backend(self, port: str) -> str | None:
        if port not in self._backends:
            self._backends[port] = self._wires.usb_backend(port)
        return self._backends[port]

    def folder(self, port: str) -> Path:
        return self._wires.folder(port)


class Drivers:
    """The drivers of a rig, each on its ladder; none at all for a record."""

    def __init__(self, rig: RigConfig, wires: Wires | None, seed: int) -> None:
        self._ports = None if wires is None else SharedPorts(rig, wires)
        self._rules = RecoveryRules(bound_s=rig.recovery.outage_s)
        self._detector_rules = RecoveryRules(bound_s=rig.recovery.detector_outage_s)
        self._seed = seed

    def of(self, name: str, config: DeviceConfig) -> Any:
        """The driver of a device; None for a record."""
        if self._ports is None:
            return None
        kind = kind_of(config)
        try:
            plain = kind.driver(self._ports, name, config)
        except (TypeError, ValueError) as error:
            raise RigFault(f"{name}: no {kind.word} driver can be built from this: {error}") from error
        rules = self._detector_rules if kind.role == "spectrometer" else self._rules
        rules = replace(rules, watchdog_s=config.stops_by_itself_s)
        return _LADDERS[kind.role](plain, rules, seed=self._seed)


def assemble(rig: RigConfig, tracer: Tracer, wires: Wires | None, *, seed: int, spent_ul: Mapping[str, float]) -> Rig:
    """The rig on its wires, devices not yet connected; without wires, the tracer answers from a record."""
    drivers = Drivers(rig, wires, seed)
    heater_name, detector_name = rig.plumbing.reactor.heater, rig.plumbing.detector
    range_c = rig.limits.temperature_c
    pressure: RigPressure | None = None
    phase: RigPhase | None = None
    pumps = {
        name: RigPump(name, drivers.of(name, config), tracer, rig.pump_range_ul_min(name))
        for name, config in rig.pumps.items()
    }
    heater = RigHeater(heater_name, drivers.of(heater_name, rig.heater), tracer, range_c)
    spectrometer = RigSpectrometer(detector_name, drivers.of(detector_name, rig.detector), tracer)
    if rig.plumbing.pressure is not None and rig.pressure is not None:
        pressure = RigPressure(rig.plumbing.pressure, drivers.of(rig.plumbing.pressure, rig.pressure), tracer)
    if rig.plumbing.phase is not None:
        phase = RigPhase(rig.plumbing.phase, drivers.of(rig.plumbing.phase, rig.devices[rig.plumbing.phase]), tracer)
    placed = {*pumps, heater_name, detector_name, rig.plumbing.pressure, rig.plumbing.phase}
    around = {
        name: _around(name, config, drivers, tracer, range_c)
        for name, config in rig.devices.items()
        if name not in placed
    }
    return Rig(
        config=rig,
        pumps=pumps,
        heater=heater,
        spectrometer=spectrometer,
        pressure=pressure,
        layout=optical_layout(rig.detector),
        exact_restart=wires is not None and wires.exact_restart,
        released=() if wires is None else wires.released,
        earlier_ul=dict(spent_ul),
        faults=None if wires is None else wires.faults,
        phase=phase,
        around=around,
    )


def _around(name: str, config: DeviceConfig, drivers: Drivers, tracer: Tracer, range_c: tuple[float, float]) -> Around:
    """A device that the plumbing does not name."""
    driver = drivers.of(name, config)
    if isinstance(config, ValveConfig):
        return RigValve(name, driver, tracer, config.positions, config.home)
    role = config.role
    if role == "heater":
        return RigHeater(name, driver, tracer, range_c)
    if role == "gas":
        return RigGas(name, driver, tracer)
    if role == "phase":
        return RigPhase(name, driver, tracer)
    if role == "pressure":
        return RigPressure(name, driver, tracer)
    return RigSpectrometer(name, driver, tracer)


def optical_layout(detector: DetectorConfig) -> OpticalLayout:
    """Where lamp and emission, or absorption, show, and what the detector was calibrated to."""
    return OpticalLayout(
        lamp_low_nm=detector.lamp_nm[0],
        lamp_high_nm=detector.lamp_nm[1],
        emission_low_nm=detector.emission_nm[0],
        emission_high_nm=detector.emission_nm[1],
        full_scale=detector.full_scale_counts,
        yield_factor=detector.yield_factor,
        exposure_s=detector.exposure_range_s,
        dark_subtracted=detector.dark_subtracted,
        mode="emission" if detector.sees_emission else "absorption",
    )
