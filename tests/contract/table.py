"""Every driver that speaks over bytes beside its twin: the table that the contract suite runs over.

Spectrometers, which are no stream of bytes, are in :mod:`tests.contract.spectrometers`.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from drivers import (
    AlicatController,
    BronkhorstController,
    CavroPair,
    CavroPump,
    EurothermController,
    HarvardPump,
    IkaHotplate,
    JulaboCirculator,
    Line,
    ModbusBus,
    NanodacController,
    NewEraPump,
    NovusController,
    OmegaController,
    PhaseSensor,
    PressureTransmitter,
    RtuLink,
    TcpLink,
    ViciSelector,
    WatlowController,
)
from drivers.readings import PortSettings
from simulators.links import Gate, MemoryTransport, StreamTwin, memory_modbus_connect
from simulators.wire_alicat import AlicatTwin, AlicatUnit
from simulators.wire_bronkhorst import BronkhorstTwin
from simulators.wire_cavro import CavroTwin, SharedOutlet
from simulators.wire_eurotherm import EurothermTwin
from simulators.wire_harvard import HarvardTwin
from simulators.wire_modbus import ModbusLine, ModbusUnit, RtuPort, TcpPort
from simulators.wire_nanodac import NanodacTwin
from simulators.wire_new_era import NewEraTwin
from simulators.wire_novus import NovusTwin
from simulators.wire_omega import OmegaTwin
from simulators.wire_phase import InputModuleTwin, PhaseChannel
from simulators.wire_pressure import PressureChannel
from simulators.wire_thermostats import IkaTwin, JulaboTwin
from simulators.wire_vici import ViciActuator, ViciTwin
from simulators.wire_watlow import WatlowTwin
from tests.contract.plants import LaggingHeater, SteadyPressure, SteppingPump
from tests.contract.plants_around import Bubble, GasLine, TurningValve

Role = Literal["pump", "heater", "pressure", "phase", "valve", "gas"]
Wire = Literal["line", "rtu", "tcp"]
Bend = Callable[[StreamTwin], StreamTwin]


_9600 = PortSettings(9600)


def now_s() -> float:
    return asyncio.get_running_loop().time()


@dataclass(frozen=True)
class Bench:
    """A twin with what it moves, heats or measures behind it. ``second`` is what hangs at the second address."""

    twin: StreamTwin
    plant: Any
    second: Any = None

    def state(self) -> dict[str, Any]:
        """What the plants have been told."""
        return {
            name: copy.deepcopy(vars(plant)) for name, plant in (("one", self.plant), ("two", self.second)) if plant
        }


@dataclass(frozen=True)
class Entry:
    """One driver in one of its forms.

    ``driver`` takes the line or bus, and a name; ``second`` makes the driver of another device on the same line.
    ``pty`` is false where the kernel has no such pty. ``kind`` is what ``identify`` calls it.
    """

    name: str
    role: Role
    wire: Wire
    bench: Callable[[], Bench]
    driver: Callable[..., Any]
    second: Callable[..., Any] | None = None
    settings: PortSettings = _9600
    kind: str = ""

    def connection(self, twin: StreamTwin, *, gate: Gate | None = None, timeout_s: float = 0.5) -> Line | ModbusBus:
        """The twin at the end of a line in memory."""
        if self.wire == "line":
            baud_rate = self.settings.baud_rate
            return Line(MemoryTransport(twin, name="memory", baud_rate=baud_rate, gate=gate), timeout_s=timeout_s)
        tcp = self.wire == "tcp"
        connect = memory_modbus_connect(twin, baud_rate=None if tcp else self.settings.baud_rate, gate=gate)
        return ModbusBus(TcpLink("memory") if tcp else RtuLink("memory"), timeout_s=timeout_s, connect=connect)


def motor() -> SteppingPump:
    return SteppingPump(since_s=now_s())


def oven() -> LaggingHeater:
    return LaggingHeater(since_s=now_s())


def new_era_bench() -> Bench:
    plants = motor(), motor()
    return Bench(NewEraTwin({0: plants[0], 7: plants[1]}), *plants)


def harvard_bench(*addresses: int) -> Bench:
    plants = motor(), motor()
    return Bench(HarvardTwin(dict(zip(addresses, plants, strict=True))), *plants)


def cavro_bench() -> Bench:
    plants = motor(), motor()
    twin = CavroTwin({0: plants[0], 3: plants[1]}, syringe_volume_ul=250.0)
    return Bench(twin, *plants)


def cavro_pair_bench() -> Bench:
    plant = motor()
    return Bench(CavroTwin(dict(enumerate(SharedOutlet(plant).shares)), syringe_volume_ul=250.0), plant)


def modbus_bench(twin: Callable[[LaggingHeater], ModbusUnit], tcp: bool = False) -> Callable[[], Bench]:
    def bench() -> Bench:
        plants = oven(), oven()
        line = ModbusLine({1: twin(plants[0]), 2: twin(plants[1])})
        return Bench(TcpPort(line) if tcp else RtuPort(line), *plants)

    return bench


def pressure_bench() -> Bench:
    plants = SteadyPressure(500.0), SteadyPressure(300.0)
    units = {n: InputModuleTwin({0: PressureChannel(plant)}) for n, plant in enumerate(plants, 1)}
    return Bench(RtuPort(ModbusLine(units)), *plants)


def phase_bench() -> Bench:
    plants = Bubble(), Bubble(begins_s=0.0)
    units = {n: InputModuleTwin({0: PhaseChannel(plant)}) for n, plant in enumerate(plants, 1)}
    return Bench(TcpPort(ModbusLine(units)), *plants)


def vici_bench(*units: str) -> Bench:
    plants = [TurningValve(step_s=0.02) for _ in units]
    return Bench(ViciTwin({unit: ViciActuator(plant) for unit, plant in zip(units, plants, strict=True)}), *plants)


def alicat_bench() -> Bench:
    plants = GasLine(), GasLine()
    return Bench(AlicatTwin({"A": AlicatUnit(plants[0]), "C": AlicatUnit(plants[1])}), *plants)


def bronkhorst_bench() -> Bench:
    plant = GasLine()
    return Bench(BronkhorstTwin(plant), plant)


def line_heater_bench(twin: Callable[[LaggingHeater], StreamTwin]) -> Callable[[], Bench]:
    def bench() -> Bench:
        plant = oven()
        return Bench(twin(plant), plant)

    return bench


def new_era(address: int, safe_s: int | None) -> Callable[..., NewEraPump]:
    return lambda line, name: NewEraPump(line, address, 4.61, 500.0, safe_mode_timeout_s=safe_s, name=name)


def harvard(address: int) -> Callable[..., HarvardPump]:
    return lambda line, name: HarvardPump(line, address, 4.61, 500.0, name=name)


def cavro(address: int, framing: Literal["OEM", "DT"]) -> Callable[..., CavroPump]:
    return lambda line, name: CavroPump(line, address, 250.0, 50_000.0, framing=framing, name=name)


def vici(unit: str) -> Callable[..., ViciSelector]:
    return lambda line, name: ViciSelector(line, 10, unit=unit, name=name)


def alicat(unit: str) -> Callable[..., AlicatController]:
    return lambda line, name: AlicatController(line, unit, full_scale=100.0, name=name)


def unit(kind: Callable[..., Any], number: int, **settings: Any) -> Callable[..., Any]:
    return lambda bus, name: kind(bus, number, name=name, **settings)


_NE = PortSettings(19200)
_EUROTHERM = modbus_bench(EurothermTwin)

ENTRIES: tuple[Entry, ...] = (
    Entry("new era", "pump", "line", new_era_bench, new_era(0, None), new_era(7, None), _NE, "new_era"),
    Entry("new era in safe mode", "pump", "line", new_era_bench, new_era(0, 30), new_era(7, 30), _NE, "new_era"),
    Entry("harvard", "pump", "line", lambda: harvard_bench(0, 4), harvard(0), harvard(4), kind="harvard"),
    Entry("harvard on a chain", "pump", "line", lambda: harvard_bench(5, 6), harvard(5), harvard(6), kind="harvard"),
    Entry("cavro in OEM frames", "pump", "line", cavro_bench, cavro(0, "OEM"), cavro(3, "OEM"), kind="cavro"),
    Entry("cavro in DT frames", "pump", "line", cavro_bench, cavro(0, "DT"), cavro(3, "DT"), kind="cavro"),
    Entry(
        "cavro pair",
        "pump",
        "line",
        cavro_pair_bench,
        lambda line, name: CavroPair(line, (0, 1), 250.0, name=name),
        kind="cavro",
        settings=PortSettings(38400),
    ),
    Entry(
        "eurotherm",
        "heater",
        "rtu",
        _EUROTHERM,
        unit(EurothermController, 1),
        unit(EurothermController, 2),
        kind="eurotherm",
    ),
    Entry(
        "eurotherm in floats",
        "heater",
        "rtu",
        _EUROTHERM,
        unit(EurothermController, 1, registers="float"),
        unit(EurothermController, 2, registers="float"),
        kind="eurotherm",
    ),
    Entry(
        "nanodac",
        "heater",
        "tcp",
        modbus_bench(NanodacTwin, tcp=True),
        unit(NanodacController, 1),
        unit(NanodacController, 2),
        kind="nanodac",
    ),
    Entry(
        "watlow",
        "heater",
        "rtu",
        modbus_bench(WatlowTwin),
        unit(WatlowController, 1),
        unit(WatlowController, 2),
        kind="watlow",
    ),
    Entry(
        "omega",
        "heater",
        "rtu",
        modbus_bench(OmegaTwin),
        unit(OmegaController, 1),
        unit(OmegaController, 2),
        kind="omega",
    ),
    Entry(
        "novus",
        "heater",
        "rtu",
        modbus_bench(NovusTwin),
        unit(NovusController, 1),
        unit(NovusController, 2),
        kind="novus",
    ),
    Entry(
        "julabo",
        "heater",
        "line",
        line_heater_bench(JulaboTwin),
        lambda line, name: JulaboCirculator(line, name=name),
        settings=PortSettings(4800, 7, "E"),
        kind="julabo",
    ),
    Entry(
        "ika",
        "heater",
        "line",
        line_heater_bench(IkaTwin),
        lambda line, name: IkaHotplate(line, name=name),
        settings=PortSettings(9600, 7, "E"),
        kind="ika",
    ),
    Entry(
        "pressure",
        "pressure",
        "rtu",
        pressure_bench,
        unit(PressureTransmitter, 1),
        unit(PressureTransmitter, 2),
        kind="modbus",
    ),
    Entry("phase", "phase", "tcp", phase_bench, unit(PhaseSensor, 1), unit(PhaseSensor, 2), kind="modbus"),
    Entry("vici", "valve", "line", lambda: vici_bench(""), vici(""), kind="vici"),
    Entry("vici by unit", "valve", "line", lambda: vici_bench("1", "3"), vici("1"), vici("3"), kind="vici"),
    Entry("alicat", "gas", "line", alicat_bench, alicat("A"), alicat("C"), _NE, "alicat"),
    Entry(
        "bronkhorst",
        "gas",
        "line",
        bronkhorst_bench,
        lambda line, name: BronkhorstController(line, name=name),
        settings=PortSettings(38400),
        kind="bronkhorst",
    ),
)
