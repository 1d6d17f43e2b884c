"""Every heater driver beside its twin, for the tests that all of them must pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from drivers import (
    EurothermController,
    IkaHotplate,
    JulaboCirculator,
    Line,
    ModbusBus,
    NanodacController,
    NovusController,
    OmegaController,
    RtuLink,
    TcpLink,
    WatlowController,
)
from drivers.heater_base import LastingHeater
from simulators.links import Emit, Loop, MemoryTransport, StreamTwin, memory_modbus_connect
from simulators.wire_eurotherm import EurothermTwin
from simulators.wire_modbus import ModbusLine, ModbusUnit, RtuPort, TcpPort
from simulators.wire_nanodac import NanodacTwin
from simulators.wire_novus import NovusTwin
from simulators.wire_omega import OmegaTwin
from simulators.wire_thermostats import IkaTwin, JulaboTwin
from simulators.wire_watlow import WatlowTwin
from tests.contract.plants import LaggingHeater

Wire = Callable[[StreamTwin], StreamTwin]
AnyHeater = LastingHeater | EurothermController


class Tap:
    """Listens between a link and a twin: ``said`` by the host, ``heard`` from the device."""

    def __init__(self, twin: StreamTwin) -> None:
        self._twin = twin
        self.said: list[bytes] = []
        self.heard: list[bytes] = []

    def attach(self, loop: Loop, emit: Emit) -> None:
        def tapped(data: bytes) -> None:
            self.heard.append(data)
            emit(data)

        self._twin.attach(loop, tapped)

    def receive(self, data: bytes) -> None:
        self.said.append(data)
        self._twin.receive(data)


@dataclass(frozen=True)
class ModbusMake:
    """A controller on Modbus; ``driver`` takes the bus, ``twin`` the plant."""

    name: str
    driver: Callable[..., AnyHeater]
    twin: Callable[..., ModbusUnit]
    tcp: bool = False

    def port(self, plant: LaggingHeater) -> StreamTwin:
        line = ModbusLine({1: self.twin(plant)})
        return TcpPort(line) if self.tcp else RtuPort(line)

    def over(self, bus: ModbusBus, **settings: object) -> AnyHeater:
        return self.driver(bus, name=self.name, **settings)

    def in_memory(
        self, plant: LaggingHeater, wire: Wire = lambda twin: twin, attempts: int = 2, **settings: object
    ) -> AnyHeater:
        connect = memory_modbus_connect(wire(self.port(plant)), baud_rate=None if self.tcp else 9600)
        link = TcpLink("memory") if self.tcp else RtuLink("memory")
        return self.over(ModbusBus(link, attempts=attempts, connect=connect), **settings)


@dataclass(frozen=True)
class LineMake:
    """A thermostat on a serial line; ``driver`` takes the line, ``twin`` the plant."""

    name: str
    driver: Callable[..., LastingHeater]
    twin: Callable[..., StreamTwin]
    baud_rate: int

    def port(self, plant: LaggingHeater) -> StreamTwin:
        return self.twin(plant)

    def over(self, line: Line, **settings: object) -> LastingHeater:
        return self.driver(line, name=self.name, **settings)

    def in_memory(
        self, plant: LaggingHeater, wire: Wire = lambda twin: twin, attempts: int = 2, **settings: object
    ) -> LastingHeater:
        return self.over(
            Line(MemoryTransport(wire(self.port(plant)), name="memory", baud_rate=self.baud_rate)), **settings
        )


NANODAC = ModbusMake("nanodac", NanodacController, NanodacTwin, tcp=True)
EUROTHERM = ModbusMake("eurotherm", EurothermController, EurothermTwin)
WATLOW = ModbusMake("watlow", WatlowController, WatlowTwin)
OMEGA = ModbusMake("omega", OmegaController, OmegaTwin)
NOVUS = ModbusMake("novus", NovusController, NovusTwin)
MODBUS = [NANODAC, replace(NANODAC, name="nanodac on rtu", tcp=False), WATLOW, OMEGA, NOVUS]
JULABO = LineMake("julabo", JulaboCirculator, JulaboTwin, 4800)
IKA = LineMake("ika", IkaHotplate, IkaTwin, 9600)
LINES = [JULABO, IKA]
EVERY: list[ModbusMake | LineMake] = [*MODBUS, *LINES]
