"""How a device on a line joins and leaves it: two selector valves and their twins on one line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from drivers import Line, PortError, RefusedError, WireTimeoutError
from drivers.vici import ViciSelector
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import MemoryTransport
from simulators.wire_vici import ViciActuator, ViciTwin
from tests.contract.plants import FaultyWire
from tests.contract.plants_around import TurningValve


@dataclass
class Bench:
    line: Line
    one: ViciSelector
    other: ViciSelector
    silent: bool = False


def play(scenario: Callable[[Bench], Awaitable[None]]) -> None:
    async def main() -> None:
        twin = ViciTwin({unit: ViciActuator(TurningValve(), 10) for unit in "12"})
        wire = FaultyWire(twin, lambda answer: [] if bench.silent else [(0.0, answer)])
        line = Line(MemoryTransport(wire, baud_rate=9600))
        bench = Bench(line, ViciSelector(line, 10, unit="1", name="one"), ViciSelector(line, 10, unit="2"))
        await scenario(bench)

    run_virtual(main())


def test_a_device_that_is_connected_twice_leaves_at_once() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.one.connect()
        await bench.one.connect()
        await bench.one.close()
        with pytest.raises(PortError):
            await bench.one.position()

    play(scenario)


def test_a_device_that_leaves_twice_does_not_take_the_line_from_its_neighbour() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.one.connect()
        await bench.other.connect()
        await bench.one.close()
        await bench.one.close()
        assert await bench.other.position() == 1

    play(scenario)


def test_a_device_that_is_not_what_was_expected_leaves_the_line_again() -> None:
    async def scenario(bench: Bench) -> None:
        stranger = ViciSelector(bench.line, 6, unit="1")
        with pytest.raises(RefusedError, match="set for another valve"):
            await stranger.connect()
        with pytest.raises(PortError):
            await stranger.position()

    play(scenario)


def test_a_look_before_connecting_leaves_the_line_again() -> None:
    async def scenario(bench: Bench) -> None:
        assert (await bench.one.look()).reading == "position 1"
        with pytest.raises(PortError):
            await bench.one.position()

    play(scenario)


def test_a_connected_device_stays_on_the_line_when_a_look_gets_no_answer() -> None:
    async def scenario(bench: Bench) -> None:
        await bench.one.connect()
        bench.silent = True
        with pytest.raises(WireTimeoutError):
            await bench.one.look()
        bench.silent = False
        assert await bench.one.position() == 1

    play(scenario)
