"""What is the Watlow's own: its unit, its word order, its input errors and modes."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Awaitable, Callable
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import DriverError, ModbusBus, ProtocolError, ReadBackError, RtuLink, WatlowController
from drivers.modbus_heater import WordOrder, float_words, words_float
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import memory_modbus_connect
from simulators.wire_modbus import ModbusLine, RtuPort, crc16
from simulators.wire_watlow import WatlowTwin
from tests.contract.heaters import Tap
from tests.contract.plants import LaggingHeater

Scenario = Callable[[WatlowController, LaggingHeater, WatlowTwin, Tap], Awaitable[None]]


def play(
    scenario: Scenario,
    *,
    fahrenheit: bool = True,
    low_word_first: bool = True,
    word_order: WordOrder = "low first",
    temperature_unit: Literal["C", "F"] | None = None,
    set_point_c: float = 25.0,
) -> None:
    async def main() -> None:
        plant = LaggingHeater()
        twin = WatlowTwin(plant, fahrenheit=fahrenheit, low_word_first=low_word_first, set_point_c=set_point_c)
        tap = Tap(RtuPort(ModbusLine({1: twin})))
        bus = ModbusBus(RtuLink("memory"), connect=memory_modbus_connect(tap))
        heater = WatlowController(bus, word_order=word_order, temperature_unit=temperature_unit)
        await scenario(heater, plant, twin, tap)

    run_virtual(main())


@pytest.mark.parametrize("fahrenheit", [False, True])
@pytest.mark.parametrize("low_word_first", [False, True])
def test_temperatures_are_in_celsius_whatever_travels(fahrenheit: bool, low_word_first: bool) -> None:
    async def scenario(heater: WatlowController, plant: LaggingHeater, twin: WatlowTwin, tap: Tap) -> None:
        assert f"°{'F' if fahrenheit else 'C'}" in await heater.connect()
        assert await heater.set_temperature(120.04) == pytest.approx(120.04, abs=1e-3)
        assert plant.target_c == pytest.approx(120.04, abs=1e-3)
        await asyncio.sleep(900.0)
        assert (await heater.read()).temperature_c == pytest.approx(120.04, abs=0.01)

    play(
        scenario,
        fahrenheit=fahrenheit,
        low_word_first=low_word_first,
        word_order="low first" if low_word_first else "high first",
    )


def test_a_set_point_travels_as_two_words_low_word_first_in_fahrenheit() -> None:
    """37.777 °C is 100 °F, 42C80000 as an IEEE single; register 2160 is 0870."""

    async def scenario(heater: WatlowController, plant: LaggingHeater, twin: WatlowTwin, tap: Tap) -> None:
        await heater.connect()
        await heater.set_temperature((100.0 - 32.0) / 1.8)
        frame = bytes.fromhex("01 10 0870 0002 04 0000 42C8")
        assert frame + crc16(frame) in tap.said

    play(scenario)


def test_off_is_mode_62_and_comes_before_the_safe_set_point() -> None:
    async def scenario(heater: WatlowController, plant: LaggingHeater, twin: WatlowTwin, tap: Tap) -> None:
        await heater.connect()
        await heater.set_temperature(90.0)
        tap.said.clear()
        await heater.heater_off()
        writes = [frame for frame in tap.said if frame[1] in (6, 16)]
        assert writes[0][2:6] == struct.pack(">HH", 1880, 62)
        assert writes[1][2:4] == struct.pack(">H", 2160)
        assert len(writes) == 2

    play(scenario)


def test_a_set_point_already_held_is_not_written_again() -> None:
    async def scenario(heater: WatlowController, plant: LaggingHeater, twin: WatlowTwin, tap: Tap) -> None:
        await heater.connect()
        await heater.set_temperature(90.0)
        tap.said.clear()
        await heater.set_temperature(90.0)
        await heater.refresh()
        assert {frame[1] for frame in tap.said} == {3}

    play(scenario)


@pytest.mark.parametrize("shorted", [False, True])
def test_an_input_error_is_a_broken_sensor(shorted: bool) -> None:
    async def scenario(heater: WatlowController, plant: LaggingHeater, twin: WatlowTwin, tap: Tap) -> None:
        plant.broken, twin.shorted = True, shorted
        await heater.connect()
        assert tap.heard[1][7:9] == struct.pack(">H", 127 if shorted else 65)
        reading = await heater.read()
        assert math.isnan(reading.temperature_c)
        assert reading.sensor_break

    play(scenario)


@pytest.mark.parametrize("fahrenheit", [False, True])
@pytest.mark.parametrize("set_point_c", [0.0, 25.0, 120.0, 123.4])
def test_the_wrong_word_order_is_found_at_connect(fahrenheit: bool, set_point_c: float) -> None:
    async def scenario(heater: WatlowController, plant: LaggingHeater, twin: WatlowTwin, tap: Tap) -> None:
        with pytest.raises(ProtocolError, match="word order"):
            await heater.connect()

    play(scenario, fahrenheit=fahrenheit, low_word_first=False, set_point_c=set_point_c)


def test_a_unit_that_is_insisted_on_is_checked() -> None:
    async def scenario(heater: WatlowController, plant: LaggingHeater, twin: WatlowTwin, tap: Tap) -> None:
        with pytest.raises(ReadBackError, match="asked °C; answered °F"):
            await heater.connect()

    play(scenario, temperature_unit="C")


def test_a_unit_changed_at_the_panel_is_honoured_at_the_next_connect() -> None:
    async def scenario(heater: WatlowController, plant: LaggingHeater, twin: WatlowTwin, tap: Tap) -> None:
        await heater.connect()
        twin.write(0.0, 2490, [15])
        await heater.connect()
        assert await heater.set_temperature(60.0) == pytest.approx(60.0, abs=1e-3)
        assert plant.target_c == pytest.approx(60.0, abs=1e-3)

    play(scenario)


def test_a_unit_that_is_none_is_refused() -> None:
    async def scenario(heater: WatlowController, plant: LaggingHeater, twin: WatlowTwin, tap: Tap) -> None:
        twin.read = lambda t_s, kind, address, count: [0] * count  # type: ignore[method-assign]
        with pytest.raises(ProtocolError, match="neither °C"):
            await heater.connect()

    play(scenario)


def test_what_cannot_be_is_refused_at_construction() -> None:
    bus = ModbusBus(RtuLink("memory"))
    for unit in (0, 248):
        with pytest.raises(DriverError, match="Modbus unit"):
            WatlowController(bus, unit)
    with pytest.raises(ValueError, match="word order"):
        WatlowController(bus, word_order="middle first")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="empty"):
        WatlowController(bus, set_point_range_c=(50.0, 10.0))
    with pytest.raises(DriverError, match="safe set-point"):
        WatlowController(bus, set_point_range_c=(50.0, 100.0), safe_set_point_c=20.0)


@given(st.floats(width=32, allow_nan=False), st.sampled_from(["high first", "low first"]))
def test_floats_survive_both_word_orders(value: float, order: WordOrder) -> None:
    assert words_float(float_words(value, order), order) == value
