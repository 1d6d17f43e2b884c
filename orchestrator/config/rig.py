"""The rig file: devices and their ports, what is in the syringes, how the tubing runs, what must never happen."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from orchestrator import units
from orchestrator.config.device_roles import (
    DetectorConfig,
    DeviceConfig,
    HeaterConfig,
    PressureSensorConfig,
    PumpConfig,
)
from orchestrator.config.devices import Device
from orchestrator.config.faults import TwinFault
from orchestrator.config.quantities import (
    Bore,
    Concentration,
    Flow,
    FlowRange,
    Length,
    Line,
    Name,
    Quantity,
    Range,
    Ratios,
    Section,
    Temperature,
    TemperatureDifference,
    TemperatureRange,
    Text,
    Time,
)

# Ports


Parity = Literal["none", "even", "odd"]


class SerialPort(Section):
    """A serial line as pyserial names it: ``/dev/ttyUSB0``, ``COM3``, ``socket://host:4001``."""

    kind: Literal["serial"]
    url: Line
    baud_rate: int = Field(default=19200, ge=300, le=4_000_000)
    data_bits: Literal[7, 8] = 8
    parity: Parity = "none"
    stop_bits: Literal[1, 2] = 1


class ModbusRtuPort(Section):
    """A Modbus RTU bus on a serial line. Parity and stop bits are those that its devices are set to."""

    kind: Literal["modbus_rtu"]
    url: Line
    baud_rate: int = Field(default=9600, ge=300, le=4_000_000)
    parity: Parity = "none"
    stop_bits: Literal[1, 2] = 1


class ModbusTcpPort(Section):
    """A Modbus TCP server."""

    kind: Literal["modbus_tcp"]
    host: Line
    tcp_port: int = Field(default=502, ge=1, le=65_535)


class UsbPort(Section):
    """A USB device; without a serial number, the first of its kind that is found."""

    kind: Literal["usb"]
    serial_number: Line | None = None


class EthernetPort(Section):
    """A spectrometer on the network."""

    kind: Literal["ethernet"]
    host: Line
    tcp_port: int = Field(default=57_357, ge=1, le=65_535)


class FolderPort(Section):
    """A folder into which an instrument's own software exports files."""

    kind: Literal["folder"]
    path: Line


Port = Annotated[
    SerialPort | ModbusRtuPort | ModbusTcpPort | UsbPort | EthernetPort | FolderPort, Field(discriminator="kind")
]


class Stock(Section):
    """A stock solution: concentration of each species, in mM; none for a pure solvent."""

    species: Mapping[Name, Concentration] = Field(default_factory=dict)
    solvent: Line
    description: Text = ""

    @property
    def concentrations_mm(self) -> Mapping[str, float]:
        """Species symbol to concentration in mM."""
        return self.species


# Plumbing and limits


class Tube(Section):
    """A round tube and how the fluid moves in it: as segments (close to plug flow), laminar, or as a plug.

    ``tanks``: the number of stirred tanks in series that spread residence times as a segmented flow does.
    """

    length_mm: Length
    bore_mm: Bore
    flow: Literal["segmented", "laminar", "plug"] = "segmented"
    tanks: int = Field(default=30, ge=1, le=1000)

    @property
    def volume_ul(self) -> float:
        """Inner volume in µL (1 mm³ is 1 µL)."""
        return math.pi * self.bore_mm**2 / 4.0 * self.length_mm


class Reactor(Tube):
    """The heated tube."""

    heater: Name


class Plumbing(Section):
    """All pumps meet in one mixer; from there the reactor, then the transit tube to the detector's flow cell.

    ``pressure``: the sensor at the mixer. ``phase``: the bubble sensor in front of the flow cell. Devices that the
    plumbing does not name are connected and put safe with the others; campaigns neither use nor read them.
    """

    reactor: Reactor
    transit: Tube
    detector: Name
    pressure: Name | None = None
    phase: Name | None = None
    solvent_pump: Name


class Limits(Section):
    """What no command may leave, whatever a campaign asks for.

    ``pressure_band``: measured over estimated pressure at a steady flow; below is a leak, above a clog.
    """

    temperature_c: TemperatureRange
    heater_overshoot_k: TemperatureDifference = 10.0
    pressure_kpa: Annotated[float, Quantity(units.PRESSURE, gt=0.0, le=1.0e5)]
    total_flow_ul_min: FlowRange
    pump_flow_ul_min: Flow | None = None
    pressure_band: Ratios = Range(0.6, 1.6)

    @property
    def over_temperature_c(self) -> float:
        """The temperature above which the heater is cut: the set-point limit plus the declared overshoot."""
        return self.temperature_c[1] + self.heater_overshoot_k


# Safe sequence


class HeatersOff(Section):
    """Switch every heater's output off, the reactor's first."""

    step: Literal["heaters_off"]


class Flush(Section):
    """Pump solvent until the reactor is known to be colder than ``until_c``, for ``at_most_s`` at the longest."""

    step: Literal["flush"]
    pump: Name
    flow_ul_min: Flow
    until_c: Temperature
    at_most_s: Time


class PumpsStop(Section):
    """Stop every pump."""

    step: Literal["pumps_stop"]


class LampOff(Section):
    """Switch the lamp off."""

    step: Literal["lamp_off"]


class GasOff(Section):
    """Close every gas flow controller."""

    step: Literal["gas_off"]


class ValvesHome(Section):
    """Turn every selector valve to its home position."""

    step: Literal["valves_home"]


SafeStep = Annotated[HeatersOff | Flush | PumpsStop | LampOff | GasOff | ValvesHome, Field(discriminator="step")]


class Recovery(Section):
    """How long a device may stay away before it counts as lost; the spectrometer, which nothing hangs on, longer."""

    outage_s: Annotated[float, Quantity(units.TIME, ge=1.0, le=3600.0)] = 30.0
    detector_outage_s: Annotated[float, Quantity(units.TIME, ge=1.0, le=3600.0)] = 60.0


class Unattended(Section):
    """What has been weighed for the hours in which nobody is there.

    ``heater_without_watchdog``: a heater that goes on as it was told when every computer around it is dead is
    ``accepted`` by whoever writes so, because the rig's own over-temperature cut-out is enough; else ``lumiflow serve``
    refuses to hold it.
    """

    heater_without_watchdog: Literal["refused", "accepted"] = "refused"


class TwinConfig(Section):
    """What the simulated rig is like where the rest of the file does not say it. A real rig takes no notice.

    The viscosity is also what the pressure that a recipe needs is estimated with, and with which a leak or a clog is
    told. ``faults``: what goes wrong with it, and when; the random ones with ``fault_seed``, or else with the
    campaign's seed.
    """

    ambient_c: Annotated[float, Quantity(units.TEMPERATURE, ge=-50.0, le=80.0)] = 25.0
    heat_capacity_j_k: Annotated[float, Quantity(units.HEAT_CAPACITY, gt=0.0, le=1.0e5)] = 60.0
    loss_w_k: Annotated[float, Quantity(units.HEAT_LOSS, gt=0.0, le=1.0e3)] = 0.4
    power_w: Annotated[float, Quantity(units.POWER, gt=0.0, le=1.0e5)] = 120.0
    sensor_lag_s: Annotated[float, Quantity(units.TIME, ge=0.0, le=600.0)] = 2.5
    ripple_cv: Annotated[float, Quantity(units.FRACTION, ge=0.0, le=0.5)] = 0.03
    compliance_s: Annotated[float, Quantity(units.TIME, ge=0.0, le=600.0)] = 1.5
    viscosity_mpa_s: Annotated[float, Quantity(units.VISCOSITY, gt=0.0, le=1.0e4)] = 1.5
    back_pressure_kpa: Annotated[float, Quantity(units.PRESSURE, ge=0.0, le=1.0e4)] = 0.0
    pressure_noise_kpa: Annotated[float, Quantity(units.PRESSURE, ge=0.0, le=100.0)] = 0.05
    led_wavelength_nm: Annotated[float, Quantity(units.WAVELENGTH, ge=200.0, le=1100.0)] = 405.0
    led_drift_per_h: Annotated[float, Quantity(units.DRIFT, ge=-0.5, le=0.5)] = -0.003
    wavelength_drift_nm_per_h: Annotated[float, Quantity(units.WAVELENGTH_DRIFT, ge=-5.0, le=5.0)] = 0.004
    composition_jitter: Annotated[float, Quantity(units.FRACTION, ge=0.0, le=0.2)] = 0.004
    residence_jitter: Annotated[float, Quantity(units.FRACTION, ge=0.0, le=0.5)] = 0.01
    fault_seed: int | None = Field(default=None, ge=0)
    faults: tuple[TwinFault, ...] = ()


class RigConfig(Section):
    """A rig file. Every reference (port, stock, device) has been checked to exist by whoever loaded it.

    ``pace``: how many seconds of the devices pass in one of ours. 1 for hardware; twins that are served on this
    computer's own ports may be faster, and ``lumiflow twin serve --write-rig`` writes how much.
    """

    kind: Literal["rig"]
    name: Line
    description: Text = ""
    pace: float = Field(default=1.0, gt=0.0, le=1000.0)
    ports: Mapping[Name, Port]
    stocks: Mapping[Name, Stock]
    devices: Mapping[Name, Device]
    plumbing: Plumbing
    limits: Limits
    safe_sequence: tuple[SafeStep, ...]
    recovery: Recovery = Field(default_factory=Recovery)
    unattended: Unattended = Field(default_factory=Unattended)
    twin: TwinConfig = Field(default_factory=TwinConfig)

    @property
    def pumps(self) -> dict[str, PumpConfig]:
        """The pumps by name, in the order of the file."""
        return {name: device for name, device in self.devices.items() if isinstance(device, PumpConfig)}

    def pump(self, name: str) -> PumpConfig:
        """One pump. Raises KeyError if there is none of that name."""
        return self.pumps[name]

    def pump_range_ul_min(self, name: str) -> tuple[float, float]:
        """Lowest and highest flow of a running pump in µL/min, by its maker and by the rig's limits."""
        low, high = self.pump(name).flow_range_ul_min
        limit = self.limits.pump_flow_ul_min
        return low, high if limit is None else min(high, limit)

    @property
    def heater(self) -> HeaterConfig:
        """The controller that heats the reactor."""
        device = self.devices[self.plumbing.reactor.heater]
        if not isinstance(device, HeaterConfig):
            raise KeyError(self.plumbing.reactor.heater)
        return device

    @property
    def detector(self) -> DetectorConfig:
        """The spectrometer behind the transit tube."""
        device = self.devices[self.plumbing.detector]
        if not isinstance(device, DetectorConfig):
            raise KeyError(self.plumbing.detector)
        return device

    @property
    def pressure(self) -> PressureSensorConfig | None:
        """The pressure transmitter, if the plumbing has one."""
        device = None if self.plumbing.pressure is None else self.devices[self.plumbing.pressure]
        return device if isinstance(device, PressureSensorConfig) else None

    def on_port(self, port: str) -> dict[str, DeviceConfig]:
        """The devices that hang on a port, in the order of the file."""
        return {name: device for name, device in self.devices.items() if device.port == port}
