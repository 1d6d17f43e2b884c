"""Gas flow controllers of both makers against their twins, in memory and in virtual time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from drivers import (
    DriverError,
    Line,
    OutOfRangeError,
    ReadBackError,
    RefusedError,
    WireTimeoutError,
)
from drivers.alicat import AlicatController
from drivers.bronkhorst import BronkhorstController
from drivers.gas import from_normal, to_normal
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import MemoryTransport, StreamTwin
from simulators.wire_alicat import AlicatTwin, AlicatUnit
from simulators.wire_bronkhorst import BronkhorstTwin
from tests.contract.plants import FaultyWire
from tests.contract.plants_around import GasLine

Controller = AlicatController | BronkhorstController
Bend = Callable[[bytes], list[tuple[float, bytes]]]
AT_25_C = 273.15 / 298.15


@dataclass
class Bench:
    gas: Controller
    line: GasLine
    unit: AlicatUnit
    instrument: BronkhorstTwin


def play(maker: str, scenario: Callable[[Bench], Awaitable[None]], bend: Bend | None = None) -> None:
    async def main() -> None:
        plant = GasLine()
        unit, instrument = AlicatUnit(plant), BronkhorstTwin(plant)
        twin: StreamTwin = AlicatTwin({"A": unit}) if maker == "alicat" else instrument
        if bend is not None:
            twin = FaultyWire(twin, bend)
        line = Line(MemoryTransport(twin, baud_rate=19200 if maker == "alicat" else 38400))
        gas: Controller = (
            AlicatController(line, full_scale=100.0, gas="N2")
            if maker == "alicat"
            else BronkhorstController(line, 3, fluid="N2")
        )
        await gas.connect()
        await scenario(Bench(gas, plant, unit, instrument))
        await gas.close()

    run_virtual(main())


both = pytest.mark.parametrize("maker", ["alicat", "bronkhorst"])


@both
def test_a_flow_is_set_read_back_and_reached(maker: str) -> None:
    async def scenario(b: Bench) -> None:
        actual = await b.gas.set_flow(15.44)
        assert actual == pytest.approx(15.44, abs=0.005)
        assert b.line.set_point == pytest.approx(actual, rel=1e-6)
        await asyncio.sleep(10.0)
        reading = await b.gas.read()
        assert reading.flow_mln_min == pytest.approx(15.44, abs=0.01)
        assert reading.set_point_mln_min == pytest.approx(actual, rel=1e-6)
        assert reading.temperature_c == pytest.approx(23.5)
        assert (reading.gas, reading.faults) == ("N2", ())
        await b.gas.stop()
        assert b.line.set_point == 0.0

    play(maker, scenario)


@both
def test_a_flow_out_of_range_is_refused_and_nothing_is_sent(maker: str) -> None:
    async def scenario(b: Bench) -> None:
        low, high = b.gas.flow_range_mln_min
        assert low == 0.0
        assert high == pytest.approx(100.0 * AT_25_C if maker == "alicat" else 100.0)
        for flow in (-0.1, high * 1.001, math.nan, math.inf):
            with pytest.raises(OutOfRangeError, match=r"outside 0 to"):
                await b.gas.set_flow(flow)
        assert b.line.commands == []
        assert await b.gas.set_flow(high) == pytest.approx(high)

    play(maker, scenario)


@both
def test_a_set_point_that_comes_back_wrong_is_written_again_then_refused(maker: str) -> None:
    async def scenario(b: Bench) -> None:
        # A plant-side tamperer: each command is followed by another hand on the panel.
        honest = b.line.command

        def tampered(t_s: float, flow_mln_min: float) -> None:
            honest(t_s, flow_mln_min)
            b.unit.set_point, b.instrument.set_point = 3.0, 960

        b.line.command = tampered  # type: ignore[method-assign]
        with pytest.raises(ReadBackError, match="did not take"):
            await b.gas.set_flow(40.0)
        assert len(b.line.commands) == 2

    play(maker, scenario)


@both
def test_a_lost_answer_is_asked_for_again_and_a_dead_line_is_a_timeout(maker: str) -> None:
    answers = [0]

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        answers[0] += 1
        return [] if answers[0] % 4 == 0 or answers[0] > 60 else [(0.0, data)]

    async def scenario(b: Bench) -> None:
        for flow in (10.0, 20.0, 5.0):
            assert await b.gas.set_flow(flow) == pytest.approx(flow, abs=0.01)
        answers[0] = 60
        with pytest.raises(WireTimeoutError):
            await b.gas.read()

    play(maker, scenario, bend)


@both
@pytest.mark.parametrize("seed", range(4))
def test_no_wrong_set_point_survives_a_bad_line(maker: str, seed: int) -> None:
    """1 % of the bytes damaged, 5 % of the answers lost: what is returned is what the plant was told."""
    import random

    chance = random.Random(seed)

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        if chance.random() < 0.05:
            return []
        damaged = bytes(chance.randrange(256) if chance.random() < 0.01 else byte for byte in data)
        return [(0.0, damaged)]

    async def main() -> None:
        plant = GasLine()
        twin: StreamTwin = AlicatTwin({"A": AlicatUnit(plant)}) if maker == "alicat" else BronkhorstTwin(plant)
        line = Line(MemoryTransport(FaultyWire(twin, bend)), quiet_s=0.05, timeout_s=0.1)
        gas: Controller = (
            AlicatController(line, full_scale=100.0) if maker == "alicat" else BronkhorstController(line, 3)
        )
        while True:
            try:
                await gas.connect()
                break
            except DriverError:
                continue
        taken = 0
        for number in range(40):
            wanted = 1.0 + number
            try:
                assert await gas.set_flow(wanted) == pytest.approx(wanted, abs=0.01)
            except DriverError:
                continue
            assert plant.set_point == pytest.approx(wanted, abs=0.01)
            taken += 1
        assert taken > 20

    run_virtual(main())


@both
def test_another_gas_is_refused(maker: str) -> None:
    async def main() -> None:
        plant = GasLine()
        twin: StreamTwin = (
            AlicatTwin({"A": AlicatUnit(plant, gas="Ar")}) if maker == "alicat" else BronkhorstTwin(plant, fluid="Ar")
        )
        line = Line(MemoryTransport(twin))
        gas: Controller = (
            AlicatController(line, full_scale=100.0, gas="N2")
            if maker == "alicat"
            else BronkhorstController(line, fluid="N2")
        )
        with pytest.raises(RefusedError, match="asked N2; answered Ar"):
            await gas.connect()

    run_virtual(main())


def test_a_supply_that_runs_dry_shows_as_flow_below_the_set_point() -> None:
    async def scenario(b: Bench) -> None:
        b.line.supply_mln_min = 20.0
        await b.gas.set_flow(60.0)
        await asyncio.sleep(10.0)
        reading = await b.gas.read()
        assert reading.set_point_mln_min == pytest.approx(60.0, abs=0.01)
        assert reading.flow_mln_min == pytest.approx(20.0, abs=0.01)

    for maker in ("alicat", "bronkhorst"):
        play(maker, scenario)


def test_standard_and_normal_volumes_differ_by_their_temperatures() -> None:
    assert to_normal(100.0, 25.0) == pytest.approx(91.615, abs=1e-3)
    assert from_normal(to_normal(37.0, 20.0), 20.0) == pytest.approx(37.0)
