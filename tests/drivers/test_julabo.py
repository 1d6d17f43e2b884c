"""What is a Julabo circulator's own: remote control, silence after commands, its alarms."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import pytest

from drivers import (
    JulaboCirculator,
    Line,
    ReadBackError,
    RefusedError,
)
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import MemoryTransport
from simulators.wire_thermostats import JulaboTwin
from tests.contract.heaters import Tap
from tests.contract.plants import FaultyWire, LaggingHeater

Bath = Callable[[JulaboCirculator, LaggingHeater, JulaboTwin, Tap], Awaitable[None]]


def with_a_bath(scenario: Bath, *, twin: Callable[[LaggingHeater], JulaboTwin] = JulaboTwin, decimals: int = 2) -> None:
    async def main() -> None:
        plant = LaggingHeater()
        circulator = twin(plant)
        tap = Tap(circulator)
        line = Line(MemoryTransport(tap, baud_rate=4800))
        await scenario(JulaboCirculator(line, decimals=decimals, name="bath"), plant, circulator, tap)

    run_virtual(main())


def test_the_manuals_set_point_command() -> None:
    """Manuals of the SC and FL series, "Examples": out_sp_00 55.5 and in_sp_00, each ended by CR."""

    async def scenario(bath: JulaboCirculator, plant: LaggingHeater, twin: JulaboTwin, tap: Tap) -> None:
        await bath.connect()
        assert await bath.set_temperature(55.5) == 55.5
        assert b"out_sp_00 55.5\r" in tap.said
        assert b"in_sp_00\r" in tap.said
        assert b"out_mode_05 1\r" in tap.said

    with_a_bath(scenario, decimals=1)


def test_the_line_rests_after_each_command() -> None:
    """The twin loses whatever comes sooner than 250 ms after a command, so nothing works without the rests."""

    async def scenario(bath: JulaboCirculator, plant: LaggingHeater, twin: JulaboTwin, tap: Tap) -> None:
        await bath.connect()
        await bath.set_temperature(80.0)
        await bath.heater_off()
        answered = [said for said in tap.said if not said.startswith(b"out_")]
        assert len(tap.heard) == len(answered)

    with_a_bath(scenario)


def test_a_circulator_under_manual_control_is_refused() -> None:
    async def scenario(bath: JulaboCirculator, plant: LaggingHeater, twin: JulaboTwin, tap: Tap) -> None:
        twin.remote = False
        with pytest.raises(RefusedError, match=r"remote control.*answered 00 MANUAL STOP"):
            await bath.connect()
        twin.remote = True
        assert "JULABO" in await bath.connect()
        twin.remote = False
        with pytest.raises(RefusedError, match="command not allowed in current operating mode"):
            await bath.set_temperature(60.0)

    with_a_bath(scenario)


def test_a_circulator_that_was_taken_to_its_panel_while_it_runs_says_that_it_cannot_be_commanded() -> None:
    async def scenario(bath: JulaboCirculator, plant: LaggingHeater, twin: JulaboTwin, tap: Tap) -> None:
        await bath.connect()
        await bath.set_temperature(60.0)
        assert not (await bath.read()).heater_fail
        twin.remote = False
        assert (await bath.read()).heater_fail
        await bath.refresh()
        assert plant.automatic
        twin.remote = True
        assert not (await bath.read()).heater_fail

    with_a_bath(scenario)


def test_a_set_point_outside_the_circulators_range_is_refused_in_its_words() -> None:
    async def scenario(bath: JulaboCirculator, plant: LaggingHeater, twin: JulaboTwin, tap: Tap) -> None:
        await bath.connect()
        with pytest.raises(RefusedError, match="value too large"):
            await bath.set_temperature(120.0)
        with pytest.raises(RefusedError, match="value too small"):
            await bath.set_temperature(12.0)
        with pytest.raises(RefusedError, match="value exceeds temperature limits"):
            await bath.set_temperature(90.0)
        assert plant.target_c == 90.0
        await bath.heater_off()

    def narrow(plant: LaggingHeater) -> JulaboTwin:
        return JulaboTwin(plant, set_point_range_c=(15.0, 100.0), warning_limits_c=(15.0, 80.0))

    with_a_bath(scenario, twin=narrow)


def test_a_command_that_arrives_spoilt_is_sent_again() -> None:
    async def main() -> None:
        plant = LaggingHeater()
        twin = JulaboTwin(plant)
        spoil = [True, False, True, False]

        class Spoiled(Tap):
            def receive(self, data: bytes) -> None:
                if data.startswith(b"out_") and spoil and spoil.pop(0):
                    data = data.replace(b"_", b"~", 1)
                super().receive(data)

        bath = JulaboCirculator(Line(MemoryTransport(Spoiled(twin), baud_rate=4800)))
        await bath.connect()
        assert await bath.set_temperature(80.0) == 80.0
        assert (plant.automatic, plant.target_c) == (True, 80.0)
        assert not spoil

    run_virtual(main())


@pytest.mark.parametrize(
    ("alarm", "flag"),
    [
        ("-01 LOW LEVEL ALARM", "heater_fail"),
        ("-03 EXCESS TEMPERATURE WARNING", "out_of_range"),
        ("-05 WORKING SENSOR ALARM", "sensor_break"),
        ("-33 SAFETY SENSOR ALARM", "heater_fail"),
    ],
)
def test_an_alarm_shows_as_the_flag_it_is(alarm: str, flag: str) -> None:
    async def scenario(bath: JulaboCirculator, plant: LaggingHeater, twin: JulaboTwin, tap: Tap) -> None:
        await bath.connect()
        await bath.set_temperature(60.0)
        twin.raise_alarm(alarm)
        reading = await bath.read()
        flags = {
            "heater_fail": reading.heater_fail,
            "out_of_range": reading.out_of_range,
            "sensor_break": reading.sensor_break,
        }
        assert [name for name, is_set in flags.items() if is_set] == [flag]
        assert reading.alarm
        assert math.isnan(reading.temperature_c) is (flag == "sensor_break")
        twin.clear_alarm()
        # Stopped by the alarm, and nobody has started it again.
        assert (await bath.read()).heater_fail
        await bath.set_temperature(60.0)
        assert not (await bath.read()).heater_fail

    with_a_bath(scenario)


def test_cooling_is_no_heating_power() -> None:
    class Cooling(LaggingHeater):
        def output_fraction(self, t_s: float) -> float:
            return -0.4

    async def main() -> None:
        bath = JulaboCirculator(Line(MemoryTransport(JulaboTwin(Cooling()), baud_rate=4800)))
        await bath.connect()
        assert (await bath.read()).output_fraction == 0.0

    run_virtual(main())


def test_a_stop_that_does_not_take_is_an_error() -> None:
    async def scenario(bath: JulaboCirculator, plant: LaggingHeater, twin: JulaboTwin, tap: Tap) -> None:
        await bath.connect()
        await bath.set_temperature(60.0)
        stubborn = FaultyWire(twin, lambda data: [(0.0, b"1\r\n" if data == b"0\r\n" else data)])
        deaf = JulaboCirculator(Line(MemoryTransport(stubborn, baud_rate=4800)))
        await deaf.connect()
        with pytest.raises(ReadBackError, match="asked stopped; answered running"):
            await deaf.heater_off()

    with_a_bath(scenario)


def test_an_error_left_over_from_a_spoilt_exchange_is_not_the_circulators_state() -> None:
    async def scenario(bath: JulaboCirculator, plant: LaggingHeater, twin: JulaboTwin, tap: Tap) -> None:
        await bath.connect()
        await bath.set_temperature(60.0)
        tap.receive(b"in_pv~00\r")
        reading = await bath.read()
        assert not (reading.alarm or reading.heater_fail)

    with_a_bath(scenario)
