"""The Modbus bus and the devices on it, over true pymodbus framing against twins in memory, in virtual time."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import (
    BrokenWireError,
    DriverError,
    EurothermController,
    ModbusBus,
    OutOfRangeError,
    PressureTransmitter,
    ReadBackError,
    RefusedError,
    RtuLink,
    TcpLink,
    WireTimeoutError,
)
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import StreamTwin, memory_modbus_connect
from simulators.wire_eurotherm import EurothermTwin
from simulators.wire_modbus import ModbusLine, RtuPort, TcpPort, crc16
from simulators.wire_phase import InputModuleTwin
from simulators.wire_pressure import PressureChannel
from tests.contract.plants import FaultyWire, LaggingHeater, SteadyPressure

Bend = Callable[[bytes], list[tuple[float, bytes]]]


@dataclass
class Bench:
    """A line with a controller at 1 and a pressure module at 2, and the plants behind them."""

    bus: ModbusBus
    heater: LaggingHeater
    channel: PressureChannel
    twin: EurothermTwin


def bench(
    *, tcp: bool = False, bend: Bend | None = None, quiet_s: float = 0.5, attempts: int = 2, decimals: int = 1
) -> Bench:
    heater = LaggingHeater()
    channel = PressureChannel(SteadyPressure(250.0))
    twin = EurothermTwin(heater, decimals=decimals)
    line = ModbusLine({1: twin, 2: InputModuleTwin({7: channel})})
    port: StreamTwin = TcpPort(line) if tcp else RtuPort(line)
    if bend is not None:
        port = FaultyWire(port, bend)
    bus = ModbusBus(
        TcpLink("memory") if tcp else RtuLink("memory"),
        quiet_s=quiet_s,
        attempts=attempts,
        connect=memory_modbus_connect(port, baud_rate=None if tcp else 9600),
    )
    return Bench(bus, heater, channel, twin)


def play(scenario: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await scenario()

    run_virtual(main())


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("form", ["integer", "float"])
def test_a_heater_is_set_read_and_switched_off(tcp: bool, form: str) -> None:
    async def scenario() -> None:
        b = bench(tcp=tcp)
        heater = EurothermController(b.bus, 1, registers="float" if form == "float" else "integer")
        await heater.connect()
        assert b.heater.target_c == 20.0
        asked_c = 120.04
        actual_c = await heater.set_temperature(asked_c)
        assert actual_c == pytest.approx(asked_c if form == "float" else 120.0, abs=1e-4)
        await asyncio.sleep(600.0)
        reading = await heater.read()
        assert reading.temperature_c == pytest.approx(120.0, abs=0.1)
        assert reading.set_point_c == pytest.approx(120.0, abs=0.1)
        assert reading.output_fraction == pytest.approx(0.5, abs=0.001)
        assert not (reading.sensor_break or reading.loop_break or reading.heater_fail or reading.alarm)
        await heater.heater_off()
        assert (b.heater.automatic, b.heater.target_c) == (False, 20.0)
        assert (await heater.read()).output_fraction == 0.0
        await heater.set_temperature(80.0)
        assert (b.heater.automatic, b.heater.target_c) == (True, 80.0)
        await heater.close()

    play(scenario)


def test_refresh_writes_the_held_set_point_again_and_nothing_when_off() -> None:
    async def scenario() -> None:
        b = bench()
        heater = EurothermController(b.bus)
        await heater.connect()
        await heater.set_temperature(120.0)
        b.twin.write(asyncio.get_running_loop().time(), 26, [500])
        assert b.heater.target_c == 50.0
        await heater.refresh()
        assert b.heater.target_c == 120.0
        await heater.heater_off()
        await heater.refresh()
        assert (b.heater.automatic, b.heater.target_c) == (False, 20.0)

    play(scenario)


def test_a_refresh_from_another_task_never_undoes_a_set_point_being_set() -> None:
    async def scenario() -> None:
        heater = EurothermController(bench().bus)
        await heater.connect()
        await heater.set_temperature(60.0)

        async def keep_refreshing() -> None:
            while True:
                await heater.refresh()

        refreshing = asyncio.ensure_future(keep_refreshing())
        for wanted in (80.0, 70.5, 91.2, 60.0):
            await asyncio.sleep(0.013)
            assert await heater.set_temperature(wanted) == pytest.approx(wanted, abs=0.051)
        refreshing.cancel()
        await asyncio.gather(refreshing, return_exceptions=True)

    play(scenario)


def test_a_broken_thermocouple_reads_nan_with_its_flag() -> None:
    async def scenario() -> None:
        b = bench()
        heater = EurothermController(b.bus)
        await heater.connect()
        b.heater.broken = True
        reading = await heater.read()
        assert math.isnan(reading.temperature_c)
        assert reading.sensor_break
        assert reading.out_of_range

    play(scenario)


def test_a_set_point_out_of_range_is_refused_with_the_range() -> None:
    async def scenario() -> None:
        b = bench()
        heater = EurothermController(b.bus, set_point_range_c=(10.0, 180.0))
        await heater.connect()
        with pytest.raises(OutOfRangeError, match="10 to 180 °C") as caught:
            await heater.set_temperature(181.0)
        assert (caught.value.low, caught.value.high) == (10.0, 180.0)
        assert b.heater.target_c == 20.0

    play(scenario)


def test_a_set_point_that_does_not_fit_the_register_is_refused_before_it_is_sent() -> None:
    async def scenario() -> None:
        b = bench(decimals=2)
        heater = EurothermController(b.bus, decimals=2, set_point_range_c=(0.0, 400.0))
        await heater.connect()
        with pytest.raises(OutOfRangeError, match="350 °C does not fit a register with 2 decimals") as caught:
            await heater.set_temperature(350.0)
        assert caught.value.high == 327.67
        assert b.heater.target_c == 20.0

    play(scenario)


def test_a_refusal_by_the_controller_is_named() -> None:
    async def scenario() -> None:
        b = bench()
        heater = EurothermController(b.bus, set_point_range_c=(0.0, 400.0), name="furnace")
        await heater.connect()
        with pytest.raises(RefusedError, match="furnace on memory: illegal data value"):
            await heater.set_temperature(350.0)

    play(scenario)


def test_a_set_point_that_does_not_take_is_noticed() -> None:
    def bend(data: bytes) -> list[tuple[float, bytes]]:
        if data[1] == 3 and data[3:5] == (1200).to_bytes(2, "big"):
            data = data[:3] + (1190).to_bytes(2, "big")
            data += crc16(data)
        return [(0.0, data)]

    async def scenario() -> None:
        heater = EurothermController(bench(bend=bend).bus)
        await heater.connect()
        with pytest.raises(ReadBackError, match="asked 120 °C; answered 119 °C"):
            await heater.set_temperature(120.0)

    play(scenario)


def test_pressure_comes_from_its_loop_current() -> None:
    async def scenario() -> None:
        b = bench()
        gauge = PressureTransmitter(b.bus, 2, register=7, high_kpa=1000.0)
        await gauge.connect()
        reading = await gauge.read()
        assert reading.pressure_kpa == pytest.approx(250.0, abs=0.05)
        assert reading.current_ma == pytest.approx(8.0, abs=0.001)
        assert (await PressureTransmitter(b.bus, 2, register=7, kind="holding").read()).current_ma == 8.0

    play(scenario)


def test_a_broken_wire_is_an_alarm_and_not_a_pressure() -> None:
    async def scenario() -> None:
        b = bench()
        gauge = PressureTransmitter(b.bus, 2, register=7, name="inlet")
        await gauge.connect()
        b.channel.broken = True
        with pytest.raises(BrokenWireError, match=r"inlet on memory: 0\.000 mA") as caught:
            await gauge.read()
        assert caught.value.alarm == "broken wire"

    play(scenario)


def test_an_absent_unit_meets_silence_and_times_out() -> None:
    async def scenario() -> None:
        b = bench()
        began_s = asyncio.get_running_loop().time()
        with pytest.raises(WireTimeoutError, match="read unit 9 registers 1 to 5"):
            await EurothermController(b.bus, 9).connect()
        # Two attempts of 0.5 s with a quiet gap between.
        assert asyncio.get_running_loop().time() - began_s == pytest.approx(1.5, abs=0.05)
        assert await EurothermController(b.bus, 1).connect()

    play(scenario)


def test_one_late_answer_does_not_leave_the_line_off_by_one() -> None:
    """Without a quiet gap the client would pair each request with the answer before, with valid checksums."""
    count = 0

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        nonlocal count
        count += 1
        return [(0.7 if count == 5 else 0.0, data)]

    async def scenario() -> None:
        b = bench(bend=bend)
        for i in range(100):
            b.twin.write(0.0, 24, [100 + i])
            assert await b.bus.read_holding(1, 24) == [100 + i]
        assert count == 101

    play(scenario)


def test_an_answer_that_came_only_when_asked_again_is_not_followed_by_its_double() -> None:
    """Both requests are answered late: the first answer passes for that of the second, whose own is still due."""
    count = 0

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        nonlocal count
        count += 1
        return [(1.05 if count % 10 in (5, 6) else 0.0, data)]

    async def scenario() -> None:
        b = bench(bend=bend)
        for i in range(100):
            b.twin.write(0.0, 24, [100 + i])
            assert await b.bus.read_holding(1, 24) == [100 + i]
        assert count > 110

    play(scenario)


def test_without_the_quiet_gap_that_same_line_is_off_by_one() -> None:
    """The twin and wire of the test above do show the fault that the gap cures."""
    count = 0

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        nonlocal count
        count += 1
        return [(0.5 if count >= 5 else 0.0, data)]

    async def scenario() -> None:
        b = bench(bend=bend, quiet_s=0.0, attempts=1)
        wrong = 0
        for i in range(20):
            b.twin.write(0.0, 24, [100 + i])
            try:
                wrong += await b.bus.read_holding(1, 24) != [100 + i]
            except WireTimeoutError:
                continue
        assert wrong > 0

    play(scenario)


def test_a_cancelled_caller_does_not_cancel_the_exchange() -> None:
    async def scenario() -> None:
        b = bench()
        for i, wait_s in enumerate((0.001, 0.005, 0.012, 0.02)):
            b.twin.write(0.0, 24, [50 + i])
            task = asyncio.ensure_future(b.bus.read_holding(1, 2))
            await asyncio.sleep(wait_s)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await b.bus.read_holding(1, 24) == [50 + i]

    play(scenario)


def test_a_damaged_answer_is_asked_for_again() -> None:
    count = 0

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        nonlocal count
        count += 1
        return [(0.0, data[:3] + b"\x55" + data[4:] if count % 3 == 0 else data)]

    async def scenario() -> None:
        b = bench(bend=bend)
        for i in range(10):
            b.twin.write(0.0, 24, [100 + i])
            assert await b.bus.read_holding(1, 24) == [100 + i]

    play(scenario)


def test_many_callers_share_one_line() -> None:
    async def scenario() -> None:
        b = bench()
        heater, gauge = EurothermController(b.bus, 1), PressureTransmitter(b.bus, 2, register=7)
        await heater.connect()
        await gauge.connect()
        readings = await asyncio.gather(*(gauge.read() if i % 2 else heater.read() for i in range(40)))
        assert len(readings) == 40
        await heater.close()
        assert (await gauge.read()).current_ma == 8.0
        await gauge.close()

    play(scenario)


def test_the_heater_is_off_even_where_the_safe_set_point_is_refused() -> None:
    async def scenario() -> None:
        b = bench()
        heater = EurothermController(b.bus, set_point_range_c=(-50.0, 250.0), safe_set_point_c=-10.0)
        await heater.connect()
        await heater.set_temperature(100.0)
        with pytest.raises(RefusedError):
            await heater.heater_off()
        assert not b.heater.automatic

    play(scenario)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=4), st.booleans())
def test_garbled_answers_raise_only_our_own_errors(answers: list[bytes], tcp: bool) -> None:
    left = list(answers)

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        return [(0.0, left.pop(0) if left else data)]

    async def scenario() -> None:
        b = bench(bend=bend, tcp=tcp)
        for _ in range(5):
            try:
                assert await b.bus.read_holding(1, 24) == [200]
            except DriverError as error:
                assert str(error)
        assert await b.bus.read_holding(1, 24) == [200]

    play(scenario)


@pytest.mark.parametrize("unit", [0, 255, -1])
def test_a_modbus_unit_out_of_range_is_refused_at_construction(unit: int) -> None:
    b = bench()
    with pytest.raises(OutOfRangeError):
        EurothermController(b.bus, unit)
    with pytest.raises(OutOfRangeError):
        PressureTransmitter(b.bus, unit)


def test_a_line_that_is_opened_again_and_again_leaves_nothing_behind_in_the_log() -> None:
    async def main() -> None:
        one = bench()
        handlers = set()
        for _ in range(3):
            await one.bus.open("heater")
            await one.bus.close()
            handlers.add(len(logging.getLogger("pymodbus").handlers))
        assert len(handlers) == 1

    run_virtual(main())
