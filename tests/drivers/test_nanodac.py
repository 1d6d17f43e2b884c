"""What is the nanodac's own: loops, channels, and an inhibited loop that must send nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from drivers import DriverError, ModbusBus, NanodacController, ReadBackError, RefusedError, TcpLink
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import memory_modbus_connect
from simulators.wire_modbus import ModbusLine, TcpPort
from simulators.wire_nanodac import NanodacTwin
from tests.contract.heaters import Tap
from tests.contract.plants import LaggingHeater

Scenario = Callable[[NanodacController, LaggingHeater, NanodacTwin, Tap], Awaitable[None]]


class LeakyHeater(LaggingHeater):
    """A loop whose safe output is 5 %."""

    def output_fraction(self, t_s: float) -> float:
        return max(0.05, super().output_fraction(t_s))


class SlowHeater(LaggingHeater):
    """A loop that takes its output away at its next cycle, a second later."""

    off_at_s = 0.0

    def command(self, t_s: float, set_point_c: float, automatic: bool) -> None:
        if self.automatic and not automatic:
            self.off_at_s = t_s + 1.0
        super().command(t_s, set_point_c, automatic)

    def output_fraction(self, t_s: float) -> float:
        return 0.4 if not self.automatic and t_s < self.off_at_s else super().output_fraction(t_s)


def play(scenario: Scenario, *, plant: LaggingHeater | None = None, loop: int = 1, channel: int = 1) -> None:
    async def main() -> None:
        heated = plant or LaggingHeater()
        twin = NanodacTwin(heated, loop=loop, channel=channel)
        tap = Tap(TcpPort(ModbusLine({1: twin})))
        bus = ModbusBus(TcpLink("memory"), connect=memory_modbus_connect(tap, baud_rate=None))
        heater = NanodacController(bus, loop=loop, channel=channel, set_point_range_c=(0.0, 400.0))
        await heater.connect()
        await scenario(heater, heated, twin, tap)

    run_virtual(main())


@pytest.mark.parametrize(("loop", "register"), [(1, "0202"), (2, "0282")])
def test_a_set_point_is_an_integer_in_tenths_in_the_loops_own_register(loop: int, register: str) -> None:
    async def scenario(heater: NanodacController, plant: LaggingHeater, twin: NanodacTwin, tap: Tap) -> None:
        assert await heater.set_temperature(120.04) == 120.0
        assert any(frame.endswith(bytes.fromhex(f"01 06 {register} 04B0")) for frame in tap.said)
        assert plant.target_c == 120.0

    play(scenario, loop=loop, channel=3)


def test_an_inhibited_loop_that_still_sends_output_is_an_error() -> None:
    async def scenario(heater: NanodacController, plant: LaggingHeater, twin: NanodacTwin, tap: Tap) -> None:
        await heater.set_temperature(100.0)
        with pytest.raises(ReadBackError, match=r"answered 5\.0%"):
            await heater.heater_off()
        # The safe set-point was tried all the same.
        assert plant.target_c == 20.0

    play(scenario, plant=LeakyHeater())


def test_a_loop_may_take_a_cycle_to_send_nothing() -> None:
    async def scenario(heater: NanodacController, plant: LaggingHeater, twin: NanodacTwin, tap: Tap) -> None:
        await heater.set_temperature(100.0)
        await heater.heater_off()
        assert (await heater.read()).output_fraction == 0.0

    play(scenario, plant=SlowHeater())


@pytest.mark.parametrize("offset", [1, 5])
def test_manual_or_inhibit_at_the_panel_is_a_heater_fault_and_is_ended_by_a_new_set_point(offset: int) -> None:
    async def scenario(heater: NanodacController, plant: LaggingHeater, twin: NanodacTwin, tap: Tap) -> None:
        await heater.set_temperature(100.0)
        twin.write(asyncio.get_running_loop().time(), 512 + offset, [1])
        assert (await heater.read()).heater_fail
        await heater.set_temperature(100.0)
        assert plant.automatic
        assert not (await heater.read()).heater_fail

    play(scenario)


def test_a_refusal_by_the_instrument_is_named() -> None:
    async def scenario(heater: NanodacController, plant: LaggingHeater, twin: NanodacTwin, tap: Tap) -> None:
        with pytest.raises(RefusedError, match="illegal data value"):
            await heater.set_temperature(350.0)

    play(scenario)


def test_the_channel_that_measures_tells_of_the_break() -> None:
    async def scenario(heater: NanodacController, plant: LaggingHeater, twin: NanodacTwin, tap: Tap) -> None:
        plant.broken = True
        reading = await heater.read()
        assert reading.sensor_break
        assert reading.out_of_range
        assert any(frame.endswith(bytes.fromhex("01 03 0109 0001")) for frame in tap.said)

    play(scenario, channel=3)


@pytest.mark.parametrize(("loop", "channel"), [(0, 1), (3, 1), (1, 0), (1, 5)])
def test_a_loop_or_channel_that_is_none_is_refused_at_construction(loop: int, channel: int) -> None:
    with pytest.raises(DriverError):
        NanodacController(ModbusBus(TcpLink("memory")), loop=loop, channel=channel)
