"""What is the Novus's own: decimals, and values that it alters in silence."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest

from drivers import ModbusBus, NovusController, OutOfRangeError, ProtocolError, ReadBackError, RefusedError, RtuLink
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import memory_modbus_connect
from simulators.wire_modbus import ModbusLine, RtuPort, crc16
from simulators.wire_novus import NovusTwin
from tests.contract.heaters import Tap
from tests.contract.plants import LaggingHeater

Scenario = Callable[[NovusController, LaggingHeater, NovusTwin, Tap], Awaitable[None]]


def play(
    scenario: Scenario,
    *,
    decimals: int = 1,
    given_decimals: int | None = None,
    high_c: float = 150.0,
    fahrenheit: bool = False,
) -> None:
    async def main() -> None:
        plant = LaggingHeater()
        twin = NovusTwin(plant, decimals=decimals, set_point_range_c=(0.0, high_c), fahrenheit=fahrenheit)
        tap = Tap(RtuPort(ModbusLine({1: twin})))
        bus = ModbusBus(RtuLink("memory"), connect=memory_modbus_connect(tap))
        heater = NovusController(bus, decimals=given_decimals, set_point_range_c=(-40.0, 400.0))
        await scenario(heater, plant, twin, tap)

    run_virtual(main())


def test_a_set_point_altered_in_silence_is_caught() -> None:
    """The write of 200 °C is echoed as if it had been taken; the controller went to its limit of 150 °C."""

    async def scenario(heater: NovusController, plant: LaggingHeater, twin: NovusTwin, tap: Tap) -> None:
        await heater.connect()
        with pytest.raises(ReadBackError, match="asked 200 °C; answered 150 °C"):
            await heater.set_temperature(200.0)
        write = bytes.fromhex("01 06 0000 07D0")
        assert write + crc16(write) in tap.said
        assert write + crc16(write) in tap.heard
        with pytest.raises(ReadBackError, match="asked -10 °C; answered 0 °C"):
            await heater.set_temperature(-10.0)
        assert not plant.automatic

    play(scenario)


@pytest.mark.parametrize(("decimals", "actual_c"), [(0, 120.0), (1, 120.5), (2, 120.46)])
def test_the_displays_decimals_are_read_and_used(decimals: int, actual_c: float) -> None:
    async def scenario(heater: NovusController, plant: LaggingHeater, twin: NovusTwin, tap: Tap) -> None:
        assert f"/ {10**decimals}" in await heater.connect()
        assert await heater.set_temperature(120.46) == actual_c
        assert plant.target_c == actual_c
        await asyncio.sleep(900.0)
        assert (await heater.read()).temperature_c == pytest.approx(actual_c, abs=0.01)

    play(scenario, decimals=decimals)


def test_decimals_that_are_given_are_not_asked_for() -> None:
    async def scenario(heater: NovusController, plant: LaggingHeater, twin: NovusTwin, tap: Tap) -> None:
        await heater.connect()
        await heater.set_temperature(60.0)
        assert plant.target_c == 60.0
        assert not any(frame[2:4] == b"\x00\x1e" for frame in tap.said)

    play(scenario, given_decimals=1)


def test_a_set_point_that_does_not_fit_the_register_is_refused() -> None:
    async def scenario(heater: NovusController, plant: LaggingHeater, twin: NovusTwin, tap: Tap) -> None:
        await heater.connect()
        with pytest.raises(OutOfRangeError, match="3 decimals") as caught:
            await heater.set_temperature(40.0)
        assert caught.value.high == pytest.approx(32.767)

    play(scenario, decimals=3, high_c=30.0)


def test_a_controller_in_fahrenheit_is_refused() -> None:
    async def scenario(heater: NovusController, plant: LaggingHeater, twin: NovusTwin, tap: Tap) -> None:
        with pytest.raises(RefusedError, match="set it to °C"):
            await heater.connect()

    play(scenario, fahrenheit=True)


def test_a_decimal_point_that_is_nowhere_is_refused() -> None:
    async def scenario(heater: NovusController, plant: LaggingHeater, twin: NovusTwin, tap: Tap) -> None:
        twin.read = lambda t_s, kind, address, count: [7] * count  # type: ignore[method-assign]
        with pytest.raises(ProtocolError, match="register 30"):
            await heater.connect()

    play(scenario)


def test_only_single_registers_are_written() -> None:
    async def scenario(heater: NovusController, plant: LaggingHeater, twin: NovusTwin, tap: Tap) -> None:
        await heater.connect()
        await heater.set_temperature(60.0)
        await heater.heater_off()
        assert {frame[1] for frame in tap.said} == {3, 6}

    play(scenario)


def test_a_temperature_below_zero_is_read_and_a_broken_sensor_is_not() -> None:
    async def scenario(heater: NovusController, plant: LaggingHeater, twin: NovusTwin, tap: Tap) -> None:
        plant.temperature_c = plant.target_c = -12.5
        await heater.connect()
        assert (await heater.read()).temperature_c == -12.5
        plant.broken = True
        reading = await heater.read()
        assert reading.sensor_break
        assert math.isnan(reading.temperature_c)

    play(scenario)


def test_control_disabled_at_the_panel_is_a_heater_fault() -> None:
    async def scenario(heater: NovusController, plant: LaggingHeater, twin: NovusTwin, tap: Tap) -> None:
        await heater.connect()
        await heater.set_temperature(60.0)
        twin.write(asyncio.get_running_loop().time(), 47, [0])
        assert (await heater.read()).heater_fail

    play(scenario)
