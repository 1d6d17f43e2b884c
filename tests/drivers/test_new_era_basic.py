"""Pumps without a checksum: orders that reach another pump, and commands that arrive damaged."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from drivers import DriverError, Line, NewEraPump, PumpState, RecoveringPump, RefusedError
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import Emit, Loop, MemoryTransport
from simulators.wire_new_era import NewEraTwin
from tests.contract.plants import FaultyWire, SteppingPump


class Wire:
    """Bends what the host sends: each text of ``bent`` once, what begins with one of ``always`` every time."""

    def __init__(self, twin: NewEraTwin) -> None:
        self.twin = twin
        self.bent: dict[bytes, bytes] = {}
        self.always: dict[bytes, bytes] = {}
        self.sent: list[bytes] = []
        self.struck = asyncio.Event()

    def attach(self, loop: Loop, emit: Emit) -> None:
        self.twin.attach(loop, emit)

    def receive(self, data: bytes) -> None:
        self.sent.append(data)
        for begin, other in [*self.bent.items(), *self.always.items()]:
            if data.startswith(begin):
                self.bent.pop(begin, None)
                self.struck.set()
                self.twin.receive(other + data[len(begin) :])
                return
        self.twin.receive(data)


Scenario = Callable[[Wire, list[NewEraPump], list[SteppingPump]], Awaitable[None]]


def play(scenario: Scenario) -> None:
    """Two connected pumps, 0 and 1, on one line in basic mode."""

    async def main() -> None:
        plants = [SteppingPump(), SteppingPump()]
        wire = Wire(NewEraTwin(dict(enumerate(plants))))
        line = Line(MemoryTransport(wire))
        pumps = [NewEraPump(line, address, 4.61, 5000.0, name=f"p{address}") for address in (0, 1)]
        for pump in pumps:
            await pump.connect()
        await scenario(wire, pumps, plants)
        assert wire.bent == {}, "it was never sent"

    run_virtual(main())


@pytest.mark.parametrize("order", [b"RAT 70", b"STP"])
def test_a_running_pump_that_took_anothers_order_goes_on_as_it_was_told_before_that_order_is_done(order: bytes) -> None:
    async def scenario(wire: Wire, pumps: list[NewEraPump], plants: list[SteppingPump]) -> None:
        await pumps[1].infuse(50.0, 300.0)
        await pumps[0].infuse(80.0, 300.0)
        wire.bent[b"1" + order] = b"0" + order
        if order == b"RAT 70":
            assert await pumps[1].change_flow(70.0) == 70.0
        else:
            await pumps[1].stop()
        assert plants[0].flow_ul_min == 80.0
        assert plants[1].flow_ul_min == (70.0 if order == b"RAT 70" else 0.0)
        assert (await pumps[0].status()).interruptions == 1
        assert (await pumps[1].status()).interruptions == 0
        assert len({flow for _, flow in plants[0].commands[-2:]}) == 2, "the stray order did reach it"
        await asyncio.sleep(400.0)
        assert (await pumps[0].status()).infused_ul == pytest.approx(300.0, abs=1.0)

    play(scenario)


def test_a_pump_at_rest_that_was_started_by_anothers_order_is_stopped_before_that_order_is_done() -> None:
    async def scenario(wire: Wire, pumps: list[NewEraPump], plants: list[SteppingPump]) -> None:
        await pumps[0].infuse(80.0, 300.0)
        await pumps[0].stop()
        began = len(plants[0].commands)
        wire.bent[b"1RUN"] = b"0RUN"
        await pumps[1].infuse(50.0, 300.0)
        assert [flow for _, flow in plants[0].commands[began:]] == [80.0, 0.0, 0.0]
        assert (plants[0].flow_ul_min, plants[1].flow_ul_min) == (0.0, 50.0)

    play(scenario)


def test_what_a_pump_had_counted_is_kept_when_anothers_order_clears_it() -> None:
    async def scenario(wire: Wire, pumps: list[NewEraPump], plants: list[SteppingPump]) -> None:
        await pumps[0].infuse(60.0, 300.0)
        await asyncio.sleep(60.0)
        await pumps[0].stop()
        wire.bent[b"1CLD INF"] = b"0CLD INF"
        await pumps[1].infuse(50.0, 300.0)
        assert (await pumps[0].status()).infused_ul == pytest.approx(plants[0].base_ul, abs=0.1)
        await pumps[0].infuse(60.0, 300.0)
        await asyncio.sleep(60.0)
        moved_ul = plants[0].displaced_ul(asyncio.get_running_loop().time())
        assert (await pumps[0].status()).infused_ul == pytest.approx(moved_ul, abs=0.3)

    play(scenario)


def test_an_order_that_all_pumps_took_is_put_right() -> None:
    """An address that arrives as ``*`` is everybody's, and the answers collide."""

    async def scenario(wire: Wire, pumps: list[NewEraPump], plants: list[SteppingPump]) -> None:
        await pumps[0].infuse(80.0, 300.0)
        await pumps[1].infuse(50.0, 300.0)
        wire.bent[b"1RAT 70.00\r"] = b"0RAT 70.00\r1RAT 70.00\r"
        await pumps[1].change_flow(70.0)
        assert [plant.flow_ul_min for plant in plants] == [80.0, 70.0]

    play(scenario)


def test_an_order_given_up_half_way_leaves_a_doubt_that_the_next_look_at_the_other_pump_settles() -> None:
    async def scenario(wire: Wire, pumps: list[NewEraPump], plants: list[SteppingPump]) -> None:
        await pumps[0].infuse(80.0, 300.0)
        await pumps[1].infuse(50.0, 300.0)
        wire.bent[b"1RAT 70"] = b"0RAT 70"
        order = asyncio.ensure_future(pumps[1].change_flow(70.0))
        await wire.struck.wait()
        order.cancel()
        with pytest.raises(asyncio.CancelledError):
            await order
        assert plants[0].flow_ul_min == 70.0
        assert (await pumps[0].status()).interruptions == 1
        assert plants[0].flow_ul_min == 80.0

    play(scenario)


def test_an_order_waits_for_what_somebody_else_is_putting_right() -> None:
    async def scenario(wire: Wire, pumps: list[NewEraPump], plants: list[SteppingPump]) -> None:
        await pumps[0].infuse(80.0, 300.0)
        await pumps[1].infuse(50.0, 300.0)
        wire.bent[b"1RAT 70"] = b"0RAT 70"
        order = asyncio.ensure_future(pumps[1].change_flow(70.0))
        await wire.struck.wait()
        await asyncio.sleep(0.02)
        look = asyncio.ensure_future(pumps[0].status())
        await order
        assert [plant.flow_ul_min for plant in plants] == [80.0, 70.0]
        assert (await look).interruptions == 1

    play(scenario)


def test_an_order_is_not_done_while_another_pump_cannot_be_put_right() -> None:
    async def scenario(wire: Wire, pumps: list[NewEraPump], plants: list[SteppingPump]) -> None:
        await pumps[0].infuse(80.0, 300.0)
        wire.bent[b"1RAT"] = b"0RAT"
        wire.always[b"0RAT 80"] = b"0RAT 70"
        with pytest.raises(DriverError):
            await pumps[1].infuse(50.0, 300.0)
        wire.always.clear()
        await pumps[1].infuse(50.0, 300.0)
        assert [plant.flow_ul_min for plant in plants] == [80.0, 50.0]

    play(scenario)


def test_a_pump_is_stopped_though_another_one_cannot_be_verified() -> None:
    async def scenario(wire: Wire, pumps: list[NewEraPump], plants: list[SteppingPump]) -> None:
        await pumps[0].infuse(80.0, 300.0)
        await pumps[1].infuse(50.0, 300.0)
        wire.bent[b"1STP"] = b"0STP"
        wire.always[b"0"] = b"9"  # from now on nobody hears what the first one is told
        await pumps[1].stop()
        assert plants[1].flow_ul_min == 0.0
        wire.always.clear()
        assert (await pumps[0].status()).interruptions == 1
        assert plants[0].flow_ul_min == 80.0

    play(scenario)


def test_a_line_that_carries_every_order_costs_nobody_a_look() -> None:
    async def scenario(wire: Wire, pumps: list[NewEraPump], plants: list[SteppingPump]) -> None:
        await pumps[0].infuse(80.0, 300.0)
        wire.sent.clear()
        await pumps[1].infuse(50.0, 300.0)
        assert all(command.startswith(b"1") for command in wire.sent)

    play(scenario)


@pytest.mark.parametrize("damaged", [b"1RAT 50.00 U\x7fM\r", b"1R\xfeT 50.00 UM\r", b"1RAT 9950.00 UM\r"])
def test_the_refusal_of_a_damaged_command_is_not_taken_for_the_pumps_own_word(damaged: bytes) -> None:
    async def scenario(wire: Wire, pumps: list[NewEraPump], plants: list[SteppingPump]) -> None:
        wire.bent[b"1RAT 50.00 UM\r"] = damaged
        assert await pumps[1].infuse(50.0, 300.0) == 50.0

    play(scenario)


@pytest.mark.parametrize(("damaged", "most"), [(b"1RXN\r", 6), (b"1RUN 9\r", 2)])
def test_a_refusal_that_stays_is_believed_after_a_few_times(damaged: bytes, most: int) -> None:
    async def scenario(wire: Wire, pumps: list[NewEraPump], plants: list[SteppingPump]) -> None:
        wire.always[b"1RUN\r"] = damaged
        with pytest.raises(RefusedError):
            await pumps[1].infuse(50.0, 300.0)
        assert wire.sent.count(b"1RUN\r") == most
        assert plants[1].flow_ul_min == 0.0

    play(scenario)


@pytest.mark.parametrize("volume_ul", [300.0, 0.2])
def test_a_start_whose_answer_is_lost_is_not_repeated(volume_ul: float) -> None:
    """The short one has reached its bound before anybody asks again."""
    started = False

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        nonlocal started
        if not started and data == b"\x0200I\x03":
            started = True
            return []
        return [(0.0, data)]

    async def main() -> None:
        plant = SteppingPump()
        pump = NewEraPump(Line(MemoryTransport(FaultyWire(NewEraTwin({0: plant}), bend))), 0, 4.61)
        await pump.connect()
        with contextlib.suppress(DriverError):
            await pump.infuse(60.0, volume_ul)
        assert started
        await asyncio.sleep(400.0)
        assert plant.displaced_ul(asyncio.get_running_loop().time()) == pytest.approx(volume_ul, abs=0.01)
        assert sum(flow > 0.0 for _, flow in plant.commands) == 1

    run_virtual(main())


@pytest.mark.parametrize(("right", "wrong"), [(b"\x0200I", b"\x0200S"), (b"I", b"I9"), (b"I", b"S")])
def test_a_reading_without_a_checksum_is_believed_when_it_comes_twice(right: bytes, wrong: bytes) -> None:
    count = 0

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        nonlocal count
        count += b"W0.000" in data
        return [(0.0, data.replace(right, wrong, 1) if count % 4 == 0 and b"W0.000" in data else data)]

    async def main() -> None:
        plant = SteppingPump()
        pump = NewEraPump(Line(MemoryTransport(FaultyWire(NewEraTwin({0: plant}), bend))), 0, 4.61)
        await pump.connect()
        await pump.infuse(60.0, 300.0)
        for _ in range(20):
            await asyncio.sleep(5.0)
            status = await pump.status()
            assert status.state is PumpState.INFUSING
            now_s = asyncio.get_running_loop().time()
            assert status.infused_ul == pytest.approx(plant.displaced_ul(now_s), abs=0.2)
        assert count > 40

    run_virtual(main())


def test_the_ladder_counts_what_the_driver_put_right_and_keeps_it_over_a_new_connect() -> None:
    async def scenario(wire: Wire, pumps: list[NewEraPump], plants: list[SteppingPump]) -> None:
        first = RecoveringPump(pumps[0])
        await first.connect()
        await first.infuse(80.0, 300.0)
        wire.bent[b"1STP"] = b"0STP"
        await pumps[1].infuse(50.0, 300.0)
        await pumps[1].stop()
        assert (await first.status()).interruptions == 1
        wire.twin.power_cycle(0)
        status = await first.status()
        assert status.state is PumpState.INFUSING
        assert status.interruptions == 2

    play(scenario)
