"""The selector valve's driver against its twin, in memory and in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import DeviceAlarmError, DriverError, Line, OutOfRangeError, ReadBackError, RefusedError, WireTimeoutError
from drivers.vici import ViciSelector, parse_count, parse_position
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import MemoryTransport
from simulators.wire_vici import ViciActuator, ViciTwin
from tests.contract.plants import FaultyWire
from tests.contract.plants_around import TurningValve

Bend = Callable[[bytes], list[tuple[float, bytes]]]


@dataclass
class Bench:
    valve: ViciSelector
    rotor: TurningValve
    actuator: ViciActuator


def play(
    scenario: Callable[[Bench], Awaitable[None]],
    *,
    long_form: bool = False,
    respond: Literal[0, 1, 2] = 0,
    answers_while_turning: bool = False,
    unit: str = "",
    bend: Bend | None = None,
) -> None:
    async def main() -> None:
        rotor = TurningValve()
        actuator = ViciActuator(
            rotor, 10, long_form=long_form, respond=respond, answers_while_turning=answers_while_turning
        )
        twin = ViciTwin({unit: actuator})
        wire = twin if bend is None else FaultyWire(twin, bend)
        valve = ViciSelector(Line(MemoryTransport(wire, baud_rate=9600)), 10, unit=unit, name="selector")
        await valve.connect()
        await scenario(Bench(valve, rotor, actuator))
        await valve.close()

    run_virtual(main())


@pytest.mark.parametrize("long_form", [False, True])
@pytest.mark.parametrize("respond", [0, 1, 2])
@pytest.mark.parametrize("answers_while_turning", [False, True])
@pytest.mark.parametrize("unit", ["", "5"])
def test_a_move_is_over_when_the_valve_is_there(
    long_form: bool, respond: Literal[0, 1, 2], answers_while_turning: bool, unit: str
) -> None:
    async def scenario(b: Bench) -> None:
        loop = asyncio.get_running_loop()
        for target in (4, 10, 6, 1):
            await b.valve.move(target)
            assert b.rotor.position(loop.time()) == target
            assert await b.valve.position() == target
        assert [position for _, position in b.rotor.turns] == [4, 10, 6, 1]

    play(scenario, long_form=long_form, respond=respond, answers_while_turning=answers_while_turning, unit=unit)


def test_a_valve_that_is_there_is_not_turned() -> None:
    async def scenario(b: Bench) -> None:
        await b.valve.move(1)
        assert b.rotor.turns == []

    play(scenario)


def test_two_moves_at_once_come_one_after_the_other() -> None:
    async def scenario(b: Bench) -> None:
        await asyncio.gather(b.valve.move(5), b.valve.move(2))
        assert [position for _, position in b.rotor.turns] == [5, 2]
        assert b.rotor.turns[1][0] - b.rotor.turns[0][0] >= 0.8

    play(scenario)


def test_a_stuck_valve_says_where_it_stands() -> None:
    async def scenario(b: Bench) -> None:
        b.rotor.stuck = True
        began_s = asyncio.get_running_loop().time()
        with pytest.raises(ReadBackError, match=r"selector on memory: the valve did not arrive.*GO07; answered 1"):
            await b.valve.move(7)
        assert 5.0 <= asyncio.get_running_loop().time() - began_s < 6.5

    play(scenario)


def test_a_position_that_the_valve_does_not_have_is_refused_with_the_range() -> None:
    async def scenario(b: Bench) -> None:
        for position in (0, 11):
            with pytest.raises(OutOfRangeError, match="outside 1 to 10"):
                await b.valve.move(position)
        assert b.rotor.turns == []

    play(scenario)


def test_an_actuator_set_for_another_valve_is_refused() -> None:
    async def main() -> None:
        line = Line(MemoryTransport(ViciTwin({"": ViciActuator(TurningValve(6), 6)}), baud_rate=9600))
        with pytest.raises(RefusedError, match=r"another valve \(asked 10 positions; answered 6\)"):
            await ViciSelector(line, 10).connect()

    run_virtual(main())


def test_the_actuator_says_what_it_is() -> None:
    async def main() -> None:
        line = Line(MemoryTransport(ViciTwin({"": ViciActuator(TurningValve(at=3))}), baud_rate=9600))
        assert await ViciSelector(line, 10).connect() == "VICI selector valve, 10 positions, at 3"

    run_virtual(main())


def test_a_valve_left_between_two_positions_is_noticed_and_can_be_moved() -> None:
    async def scenario(b: Bench) -> None:
        b.rotor.arrives_s = asyncio.get_running_loop().time() + 3.0
        with pytest.raises(DeviceAlarmError, match="between two positions"):
            await b.valve.position()
        await b.valve.move(4)
        assert await b.valve.position() == 4

    play(scenario, long_form=True)


def test_lost_and_damaged_answers_are_asked_for_again() -> None:
    faults = [0]

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        faults[0] += 1
        if faults[0] % 3 == 0:
            return []
        return [(0.0, b"\xff" + data[1:])] if faults[0] % 5 == 0 else [(0.0, data)]

    async def scenario(b: Bench) -> None:
        for target in (2, 9, 5, 1):
            await b.valve.move(target)
            assert b.rotor.at == target

    play(scenario, bend=bend)


def test_a_silent_line_is_a_timeout() -> None:
    async def main() -> None:
        twin = FaultyWire(ViciTwin({"": ViciActuator(TurningValve())}), lambda data: [])
        with pytest.raises(WireTimeoutError, match="asked NP"):
            await ViciSelector(Line(MemoryTransport(twin)), 10).connect()

    run_virtual(main())


def test_the_manuals_answers_are_understood() -> None:
    """EUT manual: CPnn; microelectric actuators: Position is  = nn."""
    assert parse_position(b"CP03\r") == 3
    assert parse_position(b"5CP10\r", "5") == 10
    assert parse_position(b"Position is  = 7\r\n") == 7
    assert parse_count(b"NP10\r") == 10
    assert parse_count(b"NP = 24\r") == 24
    assert parse_position(b"NP10\r") is None
    with pytest.raises(RefusedError):
        parse_position(b"GO99 = Bad command\r")
    with pytest.raises(DeviceAlarmError):
        parse_position(b"Position is near to = 7\r")


@settings(max_examples=200)
@given(st.binary(max_size=40) | st.text(alphabet="CPNGO0123456789= isPoitn\r", max_size=24).map(str.encode))
def test_garbage_raises_only_our_own_errors(data: bytes) -> None:
    for parse in (parse_position, parse_count):
        try:
            value = parse(data)
        except DriverError as error:
            assert str(error)
        else:
            assert value is None or 0 <= value <= 99
