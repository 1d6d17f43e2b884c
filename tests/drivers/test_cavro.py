"""The driver of one Cavro pump against its twin, in memory and in virtual time."""

from __future__ import annotations

import asyncio
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import (
    CavroPair,
    CavroPump,
    DeviceAlarmError,
    DriverError,
    Line,
    OutOfRangeError,
    PumpState,
    RefusedError,
    WireTimeoutError,
)
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import MemoryTransport
from simulators.wire_cavro import CavroTwin
from tests.contract.plants import FaultyWire, SteppingPump
from tests.drivers.cavro_scenes import Framing, Model, both, play


@both
def test_a_pump_stopped_in_its_refill_gives_what_it_has(framing: Framing) -> None:
    """Its valve still stands at the inlet: it turns before the stroke, and the speed is read back meanwhile."""

    async def scenario(pump: CavroPump, plant: SteppingPump, twin: CavroTwin) -> None:
        first = asyncio.ensure_future(pump.infuse(600.0, 900.0))
        await asyncio.sleep(8.0)
        await pump.stop()
        assert isinstance((await asyncio.gather(first, return_exceptions=True))[0], RefusedError)
        assert await pump.infuse(600.0, 100.0) == 600.0
        await asyncio.sleep(15.0)
        status = await pump.status()
        assert (status.state, status.alarm) == (PumpState.STOPPED, None)
        assert status.infused_ul == pytest.approx(100.0, abs=0.1)

    play(scenario, framing=framing)


@both
@pytest.mark.parametrize("model", ["XLP", "XCalibur"])
def test_an_infusion_of_many_strokes_gives_its_volume_and_stops(framing: Framing, model: Model) -> None:
    async def scenario(pump: CavroPump, plant: SteppingPump, twin: CavroTwin) -> None:
        assert await pump.infuse(600.0, 2500.0) == 600.0
        assert plant.flow_ul_min == 600.0
        assert (await pump.status()).state is PumpState.INFUSING
        seen = set()
        for _ in range(60):
            await asyncio.sleep(5.0)
            seen.add((await pump.status()).state)
        assert seen == {PumpState.INFUSING, PumpState.WITHDRAWING, PumpState.STOPPED}
        status = await pump.status()
        assert (status.state, status.alarm) == (PumpState.STOPPED, None)
        assert status.infused_ul == pytest.approx(2500.0, abs=0.1)
        assert status.withdrawn_ul == pytest.approx(3000.0, abs=0.1)
        assert plant.base_ul == pytest.approx(status.infused_ul - status.withdrawn_ul, abs=0.1)

    play(scenario, framing=framing, model=model)


def test_a_syringe_that_holds_the_volume_gives_it_without_a_refill() -> None:
    async def scenario(pump: CavroPump, plant: SteppingPump, twin: CavroTwin) -> None:
        await pump.infuse(600.0, 300.0)
        await asyncio.sleep(60.0)
        before = len(plant.commands)
        await pump.infuse(600.0, 300.0)
        await asyncio.sleep(60.0)
        assert [flow for _, flow in plant.commands[before:]] == [600.0, 0.0]
        assert (await pump.status()).infused_ul == pytest.approx(600.0, abs=0.1)

    play(scenario)


def test_a_change_of_flow_never_stops_the_plunger() -> None:
    async def scenario(pump: CavroPump, plant: SteppingPump, twin: CavroTwin) -> None:
        await pump.infuse(600.0, 900.0)
        await asyncio.sleep(10.0)
        before = len(plant.commands)
        assert await pump.infuse(300.0, 798.0) == 300.0
        assert [flow for _, flow in plant.commands[before:]] == [300.0]
        await asyncio.sleep(300.0)
        assert (await pump.status()).infused_ul == pytest.approx(900.0, abs=3.0)

    play(scenario)


def test_a_nearer_bound_is_honoured_and_a_farther_one_too() -> None:
    async def scenario(pump: CavroPump, plant: SteppingPump, twin: CavroTwin) -> None:
        await pump.infuse(600.0, 800.0)
        await asyncio.sleep(10.0)
        at_ul = (await pump.status()).infused_ul
        await pump.infuse(600.0, 50.0)
        await asyncio.sleep(60.0)
        status = await pump.status()
        assert status.state is PumpState.STOPPED
        assert status.infused_ul == pytest.approx(at_ul + 51.0, abs=1.5)
        await pump.infuse(600.0, 100.0)
        await asyncio.sleep(1.0)
        await pump.infuse(600.0, 1500.0)
        await asyncio.sleep(400.0)
        assert (await pump.status()).infused_ul == pytest.approx(status.infused_ul + 1510.0, abs=2.0)

    play(scenario)


@both
def test_stop_really_stops_and_no_stroke_follows(framing: Framing) -> None:
    async def scenario(pump: CavroPump, plant: SteppingPump, twin: CavroTwin) -> None:
        await pump.infuse(600.0, 2500.0)
        await asyncio.sleep(30.0)
        for _ in range(2):
            await pump.stop()
            assert plant.flow_ul_min == 0.0
        await asyncio.sleep(200.0)
        assert plant.flow_ul_min == 0.0
        status = await pump.status()
        assert (status.state, status.alarm) == (PumpState.STOPPED, None)
        assert status.infused_ul == pytest.approx(300.0, abs=2.0)

    play(scenario, framing=framing)


def test_a_stop_while_the_syringe_fills_ends_the_infusion() -> None:
    async def scenario(pump: CavroPump, plant: SteppingPump, twin: CavroTwin) -> None:
        start = asyncio.create_task(pump.infuse(600.0, 500.0))
        await asyncio.sleep(6.0)
        assert plant.flow_ul_min < 0.0
        await pump.stop()
        with pytest.raises(RefusedError, match="stopped"):
            await start
        await asyncio.sleep(100.0)
        assert plant.flow_ul_min == 0.0
        assert (await pump.status()).state is PumpState.STOPPED

    play(scenario)


def test_a_stalled_pump_reports_its_stall_and_is_initialised_before_it_goes_on() -> None:
    async def scenario(pump: CavroPump, plant: SteppingPump, twin: CavroTwin) -> None:
        await pump.infuse(600.0, 800.0)
        plant.stall_at_ul = plant.base_ul + 50.0
        await asyncio.sleep(20.0)
        status = await pump.status()
        assert (status.state, status.alarm) == (PumpState.STOPPED, "stalled")
        assert status.infused_ul == pytest.approx(50.0, abs=0.1)
        with pytest.raises(DeviceAlarmError, match="stalled") as caught:
            await pump.infuse(600.0, 100.0)
        assert (caught.value.device, caught.value.alarm) == ("lead", "stalled")
        await pump.stop()
        plant.stall_at_ul = math.inf
        pump.clear_alarm()
        assert await pump.infuse(600.0, 100.0) == 600.0
        await asyncio.sleep(20.0)
        status = await pump.status()
        assert (status.state, status.alarm) == (PumpState.STOPPED, None)
        # What initialising pressed out of the syringe went to the reactor and counts.
        assert status.infused_ul == pytest.approx(1100.0, abs=0.5)

    play(scenario)


def test_a_stall_that_only_stop_meets_is_kept() -> None:
    async def scenario(pump: CavroPump, plant: SteppingPump, twin: CavroTwin) -> None:
        await pump.infuse(600.0, 800.0)
        plant.stall_at_ul = plant.base_ul + 50.0
        await asyncio.sleep(20.0)
        await pump.stop()
        assert (await pump.status()).alarm == "stalled"

    play(scenario)


def test_a_power_blip_is_noticed_and_what_was_given_is_kept() -> None:
    async def scenario(pump: CavroPump, plant: SteppingPump, twin: CavroTwin) -> None:
        await pump.infuse(600.0, 800.0)
        await asyncio.sleep(10.0)
        seen_ul = (await pump.status()).infused_ul
        twin.power_cycle(0)
        status = await pump.status()
        assert (status.state, status.alarm) == (PumpState.STOPPED, "power was reset")
        assert status.infused_ul >= seen_ul

    play(scenario)


def test_a_jammed_valve_is_an_alarm() -> None:
    async def scenario(pump: CavroPump, plant: SteppingPump, twin: CavroTwin) -> None:
        await pump.infuse(600.0, 1500.0)
        twin.jam_valve(0)
        await asyncio.sleep(150.0)
        assert (await pump.status()).alarm == "valve overload"
        assert plant.flow_ul_min == 0.0

    play(scenario)


def test_a_host_that_dies_leaves_a_pump_that_stops_at_the_end_of_its_stroke() -> None:
    async def scenario(pump: CavroPump, plant: SteppingPump, twin: CavroTwin) -> None:
        await pump.infuse(600.0, 5000.0)
        await pump.close()
        await asyncio.sleep(300.0)
        assert plant.flow_ul_min == 0.0
        assert plant.base_ul == pytest.approx(0.0, abs=0.1)

    play(scenario)


def test_initialising_into_the_reservoir_moves_nothing_to_the_reactor() -> None:
    async def main() -> None:
        plant = SteppingPump()
        twin = CavroTwin({0: plant}, syringe_volume_ul=1000.0, fill_ul=700.0)
        line = Line(MemoryTransport(twin))
        pump = CavroPump(line, 0, 1000.0, initialise="Y", inlet="O", outlet="I")
        await pump.connect()
        await pump.infuse(600.0, 100.0)
        assert [flow for _, flow in plant.commands if flow > 0.0] == [600.0]
        await asyncio.sleep(20.0)
        assert (await pump.status()).infused_ul == pytest.approx(100.0, abs=0.1)
        await pump.close()

    run_virtual(main())


@both
def test_answers_lost_late_and_damaged_give_no_wrong_flow(framing: Framing) -> None:
    dice = random.Random(7)

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        roll = dice.random()
        if roll < 0.08:
            return []
        if roll < 0.12:
            return [(0.7, data)]
        if roll < 0.16 and framing == "OEM":
            at = dice.randrange(len(data))
            return [(0.0, data[:at] + bytes((data[at] ^ (1 << dice.randrange(8)),)) + data[at + 1 :])]
        return [(0.0, data)]

    async def main() -> None:
        plant = SteppingPump()
        twin = CavroTwin({0: plant}, syringe_volume_ul=1000.0)
        pump = CavroPump(Line(MemoryTransport(FaultyWire(twin, bend), baud_rate=9600)), 0, 1000.0, framing=framing)
        given = 0
        for attempt in range(25):
            flow = 200.0 + 25.0 * attempt
            try:
                await pump.connect()
                actual = await pump.infuse(flow, 40.0)
            except DriverError:
                continue
            given += 1
            assert actual == pytest.approx(flow, rel=0.005)
            assert plant.flow_ul_min == pytest.approx(actual)
            await asyncio.sleep(30.0)
            assert plant.flow_ul_min == 0.0
        assert given > 15
        await pump.close()

    run_virtual(main())


def test_a_lost_answer_to_a_move_is_asked_for_with_the_repeat_flag() -> None:
    heard: list[bytes] = []

    class Listening(CavroTwin):
        def receive(self, data: bytes) -> None:
            heard.append(data)
            super().receive(data)

    async def main() -> None:
        plant = SteppingPump()
        twin = Listening({0: plant}, syringe_volume_ul=1000.0)

        def bend(data: bytes) -> list[tuple[float, bytes]]:
            first_time = heard[-1][2] & 0x08 == 0
            return [] if b"A" in heard[-1] and first_time else [(0.0, data)]

        pump = CavroPump(Line(MemoryTransport(FaultyWire(twin, bend))), 0, 1000.0)
        await pump.connect()
        await pump.infuse(600.0, 100.0)
        moves = [frame for frame in heard if b"A" in frame]
        assert [frame[2] & 0x08 for frame in moves] == [0, 8, 0, 8]
        assert all(first[2] & 0x07 == again[2] & 0x07 for first, again in zip(moves[::2], moves[1::2], strict=True))
        assert [flow for _, flow in plant.commands] == [-6000.0, 0.0, 600.0]
        await pump.close()

    run_virtual(main())


@pytest.mark.parametrize(("flow", "volume"), [(100.0, 10.0), (7e4, 10.0), (600.0, 0.0), (600.0, 2e6), (math.nan, 1.0)])
def test_out_of_range_is_refused_with_the_range_and_nothing_moves(flow: float, volume: float) -> None:
    async def scenario(pump: CavroPump, plant: SteppingPump, twin: CavroTwin) -> None:
        with pytest.raises(OutOfRangeError) as caught:
            await pump.infuse(flow, volume)
        assert caught.value.low < caught.value.high
        assert plant.commands == []

    play(scenario)


@given(st.floats(min_value=125.0, max_value=60_000.0))
@settings(max_examples=50)
def test_every_flow_of_the_range_is_met_within_half_a_percent(flow_ul_min: float) -> None:
    from drivers.cavro_module import ModuleSettings

    pumped = ModuleSettings(1000.0)
    assert pumped.flow_ul_min(pumped.pulses_s(flow_ul_min)) == pytest.approx(flow_ul_min, rel=0.00501)


def test_a_module_locked_to_the_other_framing_is_a_timeout_that_says_so() -> None:
    async def main() -> None:
        twin = CavroTwin({0: SteppingPump()}, syringe_volume_ul=1000.0)
        line = Line(MemoryTransport(twin, name="COM3"))
        first = CavroPump(line, 0, 1000.0, framing="DT")
        await first.connect()
        with pytest.raises(WireTimeoutError, match=r"lead on COM3: .*locks to the first framing"):
            await CavroPump(line, 0, 1000.0, framing="OEM", name="lead").connect()

    run_virtual(main())


def test_a_syringe_cannot_fill_and_empty_through_one_port() -> None:
    line = Line(MemoryTransport(CavroTwin({0: SteppingPump()}, syringe_volume_ul=1000.0)))
    with pytest.raises(ValueError, match="same port"):
        CavroPump(line, 0, 1000.0, inlet="O")
    with pytest.raises(ValueError, match="two addresses"):
        CavroPair(line, (3, 3), 1000.0)
    with pytest.raises(OutOfRangeError):
        CavroPump(line, 15, 1000.0)
