"""What is peculiar to Eurotherm's controllers, over true pymodbus framing against their twin, in virtual time."""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Awaitable, Callable
from typing import Literal

import pytest

from drivers import EurothermController, ModbusBus, ReadBackError, RtuLink
from drivers.eurotherm import LOCAL_REMOTE, LOOP_MODE
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import memory_modbus_connect
from simulators.wire_eurotherm import EurothermTwin
from simulators.wire_modbus import ILLEGAL_ADDRESS, ModbusLine, ModbusRefusal, ModbusUnit, RtuPort
from tests.contract.plants import LaggingHeater

Scene = Callable[[EurothermController], Awaitable[None]]


class Bent:
    """A twin with something else in some of its registers; each is asked for anew."""

    def __init__(self, twin: EurothermTwin, words: dict[int, int]) -> None:
        self._twin = twin
        self.words = words

    def read(self, t_s: float, kind: str, address: int, count: int) -> list[int]:
        words = self._twin.read(t_s, kind, address, count)
        return [self.words.get(register, word) for register, word in enumerate(words, address)]

    def write(self, t_s: float, address: int, values: list[int]) -> None:
        self._twin.write(t_s, address, values)


def play(
    unit: ModbusUnit, scene: Scene, *, registers: Literal["integer", "float"] = "integer", decimals: int = 1
) -> None:
    """A scene with a driver on a line where this unit is alone."""

    async def main() -> None:
        bus = ModbusBus(RtuLink("memory"), connect=memory_modbus_connect(RtuPort(ModbusLine({1: unit}))))
        await scene(EurothermController(bus, registers=registers, decimals=decimals, name="oven"))

    run_virtual(main())


@pytest.mark.parametrize("absurd", [math.nan, math.inf, -math.inf])
def test_a_process_value_that_is_no_number_is_a_broken_sensor_whatever_the_status_says(absurd: float) -> None:
    high, low = struct.unpack(">2H", struct.pack(">f", absurd))

    async def scene(heater: EurothermController) -> None:
        await heater.connect()
        reading = await heater.read()
        assert reading.sensor_break
        assert math.isnan(reading.temperature_c)

    play(Bent(EurothermTwin(LaggingHeater()), {0x8002: high, 0x8003: low}), scene, registers="float")


@pytest.mark.parametrize("shown", [0, 1, 2])
@pytest.mark.parametrize("configured", [0, 1, 2])
def test_decimals_that_are_not_those_of_the_display_are_refused_before_anything_heats(
    shown: int, configured: int
) -> None:
    plant = LaggingHeater()

    async def scene(heater: EurothermController) -> None:
        if shown == configured:
            await heater.connect()
            assert await heater.set_temperature(60.0) == 60.0
            assert plant.target_c == 60.0
        else:
            with pytest.raises(ReadBackError, match=rf"asked {configured} decimals; answered {shown}"):
                await heater.connect()

    play(EurothermTwin(plant, decimals=shown), scene, decimals=configured)


def test_a_controller_without_a_float_mirror_is_taken_at_the_files_word() -> None:
    class WithoutMirror(Bent):
        def read(self, t_s: float, kind: str, address: int, count: int) -> list[int]:
            if address >= 0x8000:
                raise ModbusRefusal(ILLEGAL_ADDRESS)
            return super().read(t_s, kind, address, count)

    async def scene(heater: EurothermController) -> None:
        await heater.connect()
        assert await heater.set_temperature(60.0) == 60.0

    play(WithoutMirror(EurothermTwin(LaggingHeater()), {}), scene)


def test_a_display_that_shows_nothing_telling_does_not_keep_a_rig_from_starting() -> None:
    async def scene(heater: EurothermController) -> None:
        await heater.connect()

    plant = LaggingHeater(ambient_c=0.2, temperature_c=0.2, target_c=0.0)
    play(EurothermTwin(plant, decimals=0, local_set_point_c=0.0), scene, decimals=1)


def test_a_controller_that_was_put_to_its_own_set_point_is_put_back_to_ours() -> None:
    plant = LaggingHeater()
    twin = EurothermTwin(plant, local_set_point_c=200.0)

    async def scene(heater: EurothermController) -> None:
        await heater.connect()
        await heater.set_temperature(60.0)
        twin.write(asyncio.get_running_loop().time(), LOCAL_REMOTE, [0])
        assert plant.target_c == 200.0
        await heater.refresh()
        assert plant.target_c == 60.0
        assert not (await heater.read()).heater_fail

    play(twin, scene)


def test_a_controller_that_was_put_to_manual_while_it_is_to_heat_has_failed_until_it_is_told_to_heat_again() -> None:
    twin = EurothermTwin(LaggingHeater())

    async def scene(heater: EurothermController) -> None:
        await heater.connect()
        await heater.set_temperature(60.0)
        twin.write(asyncio.get_running_loop().time(), LOOP_MODE, [1])
        await heater.refresh()
        assert (await heater.read()).heater_fail
        await heater.set_temperature(60.0)
        await heater.refresh()
        assert not (await heater.read()).heater_fail
        await heater.heater_off()
        await heater.refresh()
        assert not (await heater.read()).heater_fail

    play(twin, scene)
