"""What is the Omega's own: two set-point registers and a machine of states."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Awaitable, Callable

import pytest

from drivers import ModbusBus, OmegaController, ReadBackError, RtuLink
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import memory_modbus_connect
from simulators.wire_modbus import ModbusLine, RtuPort, crc16
from simulators.wire_omega import OmegaTwin
from tests.contract.heaters import Tap
from tests.contract.plants import LaggingHeater

Scenario = Callable[[OmegaController, LaggingHeater, OmegaTwin, Tap], Awaitable[None]]


def play(scenario: Scenario, *, follow_s: float = 0.1) -> None:
    async def main() -> None:
        plant = LaggingHeater()
        twin = OmegaTwin(plant, follow_s=follow_s)
        tap = Tap(RtuPort(ModbusLine({1: twin})))
        heater = OmegaController(ModbusBus(RtuLink("memory"), connect=memory_modbus_connect(tap)))
        assert await heater.connect() == "Omega Platinum, unit 1, state standby"
        await scenario(heater, plant, twin, tap)

    run_virtual(main())


def test_a_set_point_is_written_high_word_first_to_738() -> None:
    """100 °C is 42C80000 as an IEEE single; register 738 is 02E2."""

    async def scenario(heater: OmegaController, plant: LaggingHeater, twin: OmegaTwin, tap: Tap) -> None:
        await heater.set_temperature(100.0)
        frame = bytes.fromhex("01 10 02E2 0002 04 42C8 0000")
        assert frame + crc16(frame) in tap.said

    play(scenario)


def test_a_loop_that_never_takes_the_set_point_over_is_noticed() -> None:
    async def scenario(heater: OmegaController, plant: LaggingHeater, twin: OmegaTwin, tap: Tap) -> None:
        with pytest.raises(ReadBackError, match="asked 100 °C; answered 25 °C"):
            await heater.set_temperature(100.0)

    play(scenario, follow_s=math.inf)


def test_off_is_standby_and_on_is_run() -> None:
    async def scenario(heater: OmegaController, plant: LaggingHeater, twin: OmegaTwin, tap: Tap) -> None:
        await heater.set_temperature(100.0)
        assert twin.read(asyncio.get_running_loop().time(), "holding", 576, 1) == [6]
        tap.said.clear()
        await heater.heater_off()
        writes = [frame for frame in tap.said if frame[1] in (6, 16)]
        assert writes[0][2:6] == struct.pack(">HH", 576, 7)

    play(scenario)


def test_a_controller_stopped_at_its_panel_is_a_heater_fault() -> None:
    async def scenario(heater: OmegaController, plant: LaggingHeater, twin: OmegaTwin, tap: Tap) -> None:
        await heater.set_temperature(100.0)
        assert not (await heater.read()).heater_fail
        twin.write(asyncio.get_running_loop().time(), 576, [8])
        assert (await heater.read()).heater_fail
        await heater.heater_off()
        assert not (await heater.read()).heater_fail

    play(scenario)


def test_a_controller_in_fault_is_told_so_and_does_not_run() -> None:
    async def scenario(heater: OmegaController, plant: LaggingHeater, twin: OmegaTwin, tap: Tap) -> None:
        plant.broken = True
        reading = await heater.read()
        assert reading.heater_fail
        assert reading.sensor_break
        assert math.isnan(reading.temperature_c)
        with pytest.raises(ReadBackError, match="asked run; answered fault"):
            await heater.set_temperature(100.0)

    play(scenario)
