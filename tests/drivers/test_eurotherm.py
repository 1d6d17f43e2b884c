"""What is peculiar to Eurotherm's controllers, over true pymodbus framing against their twin, in virtual time."""

from __future__ import annotations

import math
import struct
from collections.abc import Awaitable, Callable
from typing import Literal

import pytest

from drivers import EurothermController, ModbusBus, RtuLink
from orchestrator.virtual_time import run_virtual
from simulators.links import memory_modbus_connect
from simulators.wire_eurotherm import EurothermTwin
from simulators.wire_modbus import ModbusLine, ModbusUnit, RtuPort
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
