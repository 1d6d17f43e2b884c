"""A rig from its YAML, on steel or on twins: the only file that knows that twins exist."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeVar, cast

from drivers import (
    BlockingClock,
    EurothermController,
    Line,
    ModbusBus,
    NewEraPump,
    OceanSpectrometer,
    PressureTransmitter,
    RecoveringHeater,
    RecoveringPressure,
    RecoveringPump,
    RecoveringSpectrometer,
    RecoveryRules,
    RtuLink,
    SerialTransport,
    TcpLink,
    Transport,
)
from orchestrator.config import (
    EurothermConfig,
    LoadedCampaign,
    ModbusRtuPort,
    ModbusTcpPort,
    NewEraPumpConfig,
    OceanOpticsConfig,
    PressureConfig,
    RigConfig,
    SerialPort,
    UsbPort,
)
from orchestrator.devices import RigHeater, RigPressure, RigPump, RigSpectrometer, Tracer
from orchestrator.errors import RigFault
from orchestrator.fold import added, fold
from orchestrator.rig import Rig
from orchestrator.spectra import OpticalLayout

if TYPE_CHECKING:
    from drivers.modbus import Connect
    from orchestrator.config import CampaignConfig, Tube, TwinFault
    from orchestrator.journal import Event
    from simulators import TubeSpec, World, WorldSpec
    from simulators.faults import Fault
    from simulators.wire_faults import WireFaults

D = TypeVar("D")


def build_rig(
    loaded: LoadedCampaign,
    tracer: Tracer,
    *,
    hardware: bool,
    clock: BlockingClock,
    start_s: float,
    history: Sequence[Event] = (),
    missing_ul: Mapping[str, float] | None = None,
) -> Rig:
    """The rig of a campaign, its devices not yet connected.

    ``clock`` and ``start_s`` are the loop's; ``history`` says what earlier sittings have drawn from the syringes, and
    ``missing_ul`` what these had lacked of being full when the campaign began.
    """
    spent_ul = added(fold(history).spent_ul if history else {}, missing_ul or {})
    wires = _Steel(loaded.rig) if hardware else _Twins(loaded, clock, start_s, spent_ul)
    return _assemble(loaded.rig, loaded.config.seed, tracer, wires, spent_ul)


def steel_rig(rig: RigConfig, tracer: Tracer) -> Rig:
    """The real devices of a rig file, for no campaign, not yet connected."""
    return _assemble(rig, 0, tracer, _Steel(rig), {})


def recorded_rig(loaded: LoadedCampaign, tracer: Tracer) -> Rig:
    """The rig of a campaign with nothing behind it: the tracer answers from a record."""
    return _assemble(loaded.rig, loaded.config.seed, tracer, None, {})


def truth_world(loaded: LoadedCampaign) -> World:
    """The twin of a campaign's rig by itself, whose ``truth`` scores a recipe without noise."""
    from simulators import World

    return World(world_spec(loaded), loaded.config.seed)


def world_spec(loaded: LoadedCampaign, spent_ul: Mapping[str, float] | None = None) -> WorldSpec:
    """What the twins are made of, from the rig and campaign files."""
    from simulators import (
        ChemistrySpec,
        HeaterSpec,
        PressureSpec,
        PumpSpec,
        SpectrometerSpec,
        StockSpec,
        WorldSpec,
    )

    rig, config, twin = loaded.rig, loaded.config, loaded.rig.twin
    spent = spent_ul or {}
    return WorldSpec(
        stocks=tuple(StockSpec(name, stock.concentrations_mm) for name, stock in rig.stocks.items()),
        pumps=tuple(
            PumpSpec(
                name,
                _stock_in(config, name, pump),
                syringe_volume_ul=pump.syringe.volume_ul,
                syringe_diameter_mm=pump.syringe.diameter_mm,
                line_volume_ul=pump.line_volume_ul,
                ripple_cv=twin.ripple_cv,
                compliance_s=twin.compliance_s,
                fill_ul=max(pump.syringe.volume_ul - spent.get(name, 0.0), 0.0),
            )
            for name, pump in rig.pumps.items()
        ),
        reactor=_tube(rig.plumbing.reactor),
        transit=_tube(rig.plumbing.transit),
        heater=HeaterSpec(
            name=rig.plumbing.reactor.heater,
            ambient_c=twin.ambient_c,
            heat_capacity_j_k=twin.heat_capacity_j_k,
            loss_w_k=twin.loss_w_k,
            power_w=twin.power_w,
            sensor_lag_s=twin.sensor_lag_s,
        ),
        pressure=PressureSpec(
            name=rig.plumbing.pressure or "pressure",
            viscosity_mpa_s=twin.viscosity_mpa_s,
            back_pressure_kpa=twin.back_pressure_kpa,
            noise_kpa=twin.pressure_noise_kpa,
        ),
        spectrometer=SpectrometerSpec(
            name=rig.plumbing.detector,
            led_wavelength_nm=twin.led_wavelength_nm,
            led_drift_per_h=twin.led_drift_per_h,
            wavelength_drift_nm_per_h=twin.wavelength_drift_nm_per_h,
        ),
        chemistry=ChemistrySpec(config.chemistry.twin, config.chemistry.parameters),
        composition_jitter=twin.composition_jitter,
        residence_jitter=twin.residence_jitter,
    )


class _Steel:
    """Real ports. Each serial line and Modbus bus is made once and shared by its devices."""

    exact_restart = False

    def __init__(self, rig: RigConfig) -> None:
        self._rig = rig
        self.released: list[Callable[[], None]] = []

    def transport(self, port: str) -> Transport:
        entry = self._rig.ports[port]
        if not isinstance(entry, SerialPort):
            raise RigFault(f"port {port} is no serial line")
        return SerialTransport(entry.url, entry.baud_rate)

    def modbus_connect(self, port: str) -> Connect | None:
        return None

    def usb_backend(self, port: str) -> str | None:
        return None


class _Twins:
    """The same bytes in memory: one world, and a twin of every device at the end of its line."""

    exact_restart = True

    def __init__(
        self, loaded: LoadedCampaign, clock: BlockingClock, start_s: float, spent_ul: Mapping[str, float]
    ) -> None:
        from simulators import World
        from simulators.faults import Faults, Points

        self._loaded = loaded
        self._rig = loaded.rig
        self._clock = clock
        self.released: list[Callable[[], None]] = []
        self._world = World(world_spec(loaded, spent_ul), loaded.config.seed, start_s)
        self._points = Points()
        twin = self._rig.twin
        self.faults = Faults(
            self._world, self._points, loaded.config.seed if twin.fault_seed is None else twin.fault_seed
        )
        if twin.faults:
            self.faults.schedule(asyncio.get_running_loop(), [_fault(entry) for entry in twin.faults])
        self.released.append(self.faults.stop)

    def _wire(self, port: str) -> WireFaults:
        from simulators.wire_faults import WireFaults

        return self._points.wires.setdefault(port, WireFaults(self._loaded.config.seed, port))

    def transport(self, port: str) -> Transport:
        from simulators.links import MemoryTransport
        from simulators.wire_new_era import NewEraTwin

        entry = self._rig.ports[port]
        names = {pump.address: name for name, pump in self._rig.pumps.items() if pump.port == port}
        baud_rate = entry.baud_rate if isinstance(entry, SerialPort) else 19200
        twin = NewEraTwin({address: self._world.pump(name) for address, name in names.items()})
        for address, name in names.items():
            self._points.power[name] = partial(twin.power_cycle, address)
        wire = self._wire(port)
        return MemoryTransport(wire.around(twin), name=f"twin of {port}", baud_rate=baud_rate, gate=wire)

    def modbus_connect(self, port: str) -> Connect | None:
        from simulators.links import memory_modbus_connect
        from simulators.wire_eurotherm import EurothermTwin
        from simulators.wire_modbus import ModbusLine, ModbusUnit, RtuPort, TcpPort
        from simulators.wire_pressure import PressureChannel, PressureModuleTwin

        units: dict[int, ModbusUnit] = {}
        for name, device in self._rig.devices.items():
            if isinstance(device, EurothermConfig) and device.port == port:
                units[device.unit] = EurothermTwin(self._world.heater(name), decimals=device.decimals)
            if isinstance(device, PressureConfig) and device.port == port:
                low_kpa, high_kpa = device.range_kpa
                channel = PressureChannel(self._world.pressure(name), low_kpa, high_kpa)
                units[device.unit] = PressureModuleTwin({device.register_address: channel})
                self._points.channels[name] = channel
        wire = self._wire(port)
        entry = self._rig.ports[port]
        line = ModbusLine(units)
        if isinstance(entry, ModbusTcpPort):
            return memory_modbus_connect(wire.around(TcpPort(line)), baud_rate=None, gate=wire)
        baud_rate = entry.baud_rate if isinstance(entry, ModbusRtuPort) else 9600
        return memory_modbus_connect(wire.around(RtuPort(line)), baud_rate=baud_rate, gate=wire)

    def usb_backend(self, port: str) -> str | None:
        from simulators.wire_ocean import OceanTwin, UsbBus, register_usb, unregister_usb

        name = self._rig.plumbing.detector
        coefficients = self._world.spec.spectrometer.wavelength_coefficients_nm
        twin = OceanTwin(self._world.optics(name), wavelength_polynomial_nm=coefficients)
        self._points.spectrometers[name] = twin
        backend = register_usb(UsbBus([twin], self._clock))
        self.released.append(lambda: unregister_usb(backend))
        return backend


def _fault(entry: TwinFault) -> Fault:
    """A fault as the simulators take it, from its entry in the rig file."""
    from simulators.faults import Fault, FaultKind

    return Fault(FaultKind(entry.fault), entry.target, entry.at_s, entry.duration_s, entry.size, entry.every_s)


def _assemble(
    rig: RigConfig, seed: int, tracer: Tracer, wires: _Steel | _Twins | None, spent_ul: Mapping[str, float]
) -> Rig:
    """Drivers on their wires (none for a record), each on its recovery ladder, behind its limits and the tracer."""
    rules = RecoveryRules(bound_s=rig.recovery.outage_s)
    detector_rules = RecoveryRules(bound_s=rig.recovery.detector_outage_s)
    lines: dict[str, Line] = {}
    buses: dict[str, ModbusBus] = {}

    def line(port: str) -> Line:
        if port not in lines:
            lines[port] = Line(_wired(wires).transport(port))
        return lines[port]

    def bus(port: str) -> ModbusBus:
        if port not in buses:
            entry = rig.ports[port]
            if isinstance(entry, ModbusTcpPort):
                link: RtuLink | TcpLink = TcpLink(entry.host, entry.tcp_port)
            elif isinstance(entry, ModbusRtuPort):
                link = RtuLink(entry.url, entry.baud_rate)
            else:
                raise RigFault(f"port {port} is no Modbus bus")
            buses[port] = ModbusBus(link, connect=_wired(wires).modbus_connect(port))
        return buses[port]

    def when_wired(make: Callable[[], D]) -> D | None:
        return None if wires is None else make()

    pumps = {
        name: RigPump(name, when_wired(_pump_maker(name, config, line, rules, seed)), tracer, _flow_range(rig, config))
        for name, config in rig.pumps.items()
    }
    heater_name, detector_name = rig.plumbing.reactor.heater, rig.plumbing.detector
    heater = RigHeater(
        heater_name,
        when_wired(
            lambda: RecoveringHeater(_heater(heater_name, rig.heater, bus, rig.limits.temperature_c), rules, seed=seed)
        ),
        tracer,
        (rig.limits.temperature_c[0], rig.limits.temperature_c[1]),
    )
    spectrometer = RigSpectrometer(
        detector_name,
        when_wired(
            lambda: RecoveringSpectrometer(_spectrometer(detector_name, rig, _wired(wires)), detector_rules, seed=seed)
        ),
        tracer,
    )
    pressure: RigPressure | None = None
    if rig.plumbing.pressure is not None and rig.pressure is not None:
        pressure_name, pressure_config = rig.plumbing.pressure, rig.pressure
        pressure = RigPressure(
            pressure_name,
            when_wired(lambda: RecoveringPressure(_pressure(pressure_name, pressure_config, bus), rules, seed=seed)),
            tracer,
        )
    return Rig(
        config=rig,
        pumps=pumps,
        heater=heater,
        spectrometer=spectrometer,
        pressure=pressure,
        layout=optical_layout(rig.detector),
        exact_restart=wires is not None and wires.exact_restart,
        released=() if wires is None else tuple(wires.released),
        earlier_ul=dict(spent_ul),
        faults=wires.faults if isinstance(wires, _Twins) else None,
    )


def optical_layout(detector: OceanOpticsConfig) -> OpticalLayout:
    """Where lamp and emission show, and what the detector was calibrated to."""
    return OpticalLayout(
        lamp_low_nm=detector.lamp_nm[0],
        lamp_high_nm=detector.lamp_nm[1],
        emission_low_nm=detector.emission_nm[0],
        emission_high_nm=detector.emission_nm[1],
        yield_factor=detector.yield_factor,
    )


def _wired(wires: _Steel | _Twins | None) -> _Steel | _Twins:
    if wires is None:
        raise RigFault("a record has no wires")
    return wires


def _pump_maker(
    name: str, config: NewEraPumpConfig, line: Callable[[str], Line], rules: RecoveryRules, seed: int
) -> Callable[[], RecoveringPump]:
    def make() -> RecoveringPump:
        driver = NewEraPump(
            line(config.port),
            config.address,
            config.syringe.diameter_mm,
            config.syringe.volume_ul,
            safe_mode_timeout_s=config.safe_mode_timeout_s,
            name=name,
        )
        return RecoveringPump(driver, rules, seed=seed)

    return make


def _heater(
    name: str, config: EurothermConfig, bus: Callable[[str], ModbusBus], range_c: Sequence[float]
) -> EurothermController:
    safe_c = min(max(20.0, range_c[0]), range_c[1])
    return EurothermController(
        bus(config.port),
        config.unit,
        registers=config.registers,
        decimals=config.decimals,
        set_point_range_c=(range_c[0], range_c[1]),
        safe_set_point_c=safe_c,
        name=name,
    )


def _pressure(name: str, config: PressureConfig, bus: Callable[[str], ModbusBus]) -> PressureTransmitter:
    low_kpa, high_kpa = config.range_kpa
    return PressureTransmitter(
        bus(config.port),
        config.unit,
        register=config.register_address,
        low_kpa=low_kpa,
        high_kpa=high_kpa,
        name=name,
    )


def _spectrometer(name: str, rig: RigConfig, wires: _Steel | _Twins) -> OceanSpectrometer:
    port = rig.ports[rig.detector.port]
    backend = wires.usb_backend(rig.detector.port)
    # A twin's serial number is its own; only a real bus has several to choose from.
    wanted = port.serial_number if isinstance(port, UsbPort) and backend is None else None
    return OceanSpectrometer(wanted, backend, name=name)


def _flow_range(rig: RigConfig, pump: NewEraPumpConfig) -> tuple[float, float]:
    low, high = pump.flow_range_ul_min
    allowed = rig.limits.pump_flow_ul_min
    return low, high if allowed is None else min(high, allowed)


def _stock_in(config: CampaignConfig, name: str, pump: NewEraPumpConfig) -> str:
    return config.syringes.get(name, pump.stock)


def _tube(tube: Tube) -> TubeSpec:
    from simulators import TubeSpec

    regimes = {"segmented": "tanks", "laminar": "laminar", "plug": "plug"}
    regime = cast(Literal["laminar", "tanks", "plug"], regimes[tube.flow])
    return TubeSpec(length_mm=tube.length_mm, bore_mm=tube.bore_mm, regime=regime, tanks=float(tube.tanks))
