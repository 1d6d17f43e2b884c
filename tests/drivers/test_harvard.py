"""The Harvard pump driver against its twin, in memory and in virtual time."""

from __future__ import annotations

import asyncio
import math
import random
import re
from collections.abc import Awaitable, Callable

import pytest

from drivers import (
    DeviceAlarmError,
    DriverError,
    HarvardPump,
    Line,
    OutOfRangeError,
    PumpState,
    ReadBackError,
    RefusedError,
    WireTimeoutError,
)
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import MemoryTransport
from simulators.wire_harvard import HarvardTwin
from tests.contract.plants import FaultyWire, SteppingPump

Scenario = Callable[[HarvardPump, SteppingPump, HarvardTwin], Awaitable[None]]
Bend = Callable[[bytes], list[tuple[float, bytes]]]


def play(
    scenario: Scenario,
    *,
    address: int = 0,
    silent_sets: bool = False,
    zero_is_shown: bool = False,
    plant: SteppingPump | None = None,
    bend: Bend | None = None,
) -> None:
    """Run a scenario with one connected pump."""

    async def main() -> None:
        mechanics = plant or SteppingPump()
        twin = HarvardTwin({address: mechanics}, silent_sets=silent_sets, zero_is_shown=zero_is_shown)
        wire = FaultyWire(twin, bend) if bend else twin
        pump = HarvardPump(Line(MemoryTransport(wire)), address, 4.61, 5000.0, name="lead")
        assert "ULTRA" in await pump.connect()
        await scenario(pump, mechanics, twin)
        await pump.close()

    run_virtual(main())


ways = pytest.mark.parametrize(
    ("address", "silent_sets", "zero_is_shown"),
    [(0, False, False), (0, False, True), (12, False, False), (12, True, False)],
    ids=["alone", "alone, shown", "chained", "chained and silent"],
)


@ways
def test_an_infusion_ends_at_its_volume_at_the_right_moment(
    address: int, silent_sets: bool, zero_is_shown: bool
) -> None:
    async def scenario(pump: HarvardPump, plant: SteppingPump, twin: HarvardTwin) -> None:
        assert await pump.infuse(60.0, 120.0) == 60.0
        began_s = plant.commands[-1][0]
        await asyncio.sleep(118.0)
        assert (await pump.status()).state is PumpState.INFUSING
        await asyncio.sleep(10.0)
        status = await pump.status()
        assert (status.state, status.alarm) == (PumpState.STOPPED, None)
        assert status.infused_ul == pytest.approx(120.0)
        stopped_s, flow = plant.commands[-1]
        assert flow == 0.0
        assert stopped_s - began_s == pytest.approx(120.0, abs=1e-3)

    play(scenario, address=address, silent_sets=silent_sets, zero_is_shown=zero_is_shown)


@ways
def test_a_new_bound_counts_from_now_and_the_sum_is_kept(address: int, silent_sets: bool, zero_is_shown: bool) -> None:
    async def scenario(pump: HarvardPump, plant: SteppingPump, twin: HarvardTwin) -> None:
        await pump.infuse(60.0, 300.0)
        await asyncio.sleep(60.0)
        await pump.infuse(30.0, 300.0)
        await asyncio.sleep(700.0)
        status = await pump.status()
        assert (status.state, status.alarm) == (PumpState.STOPPED, None)
        assert status.infused_ul == pytest.approx(361.0, abs=1.0)
        assert status.infused_ul == pytest.approx(plant.base_ul, abs=1e-3)

    play(scenario, address=address, silent_sets=silent_sets, zero_is_shown=zero_is_shown)


def test_a_change_of_flow_never_stops_a_running_pump() -> None:
    async def scenario(pump: HarvardPump, plant: SteppingPump, twin: HarvardTwin) -> None:
        await pump.infuse(60.0, 500.0)
        await asyncio.sleep(60.0)
        before = len(plant.commands)
        assert await pump.change_flow(90.0) == 90.0
        assert await pump.infuse(30.25, 438.0) == 30.25  # what is left of the bound, so the motor goes on
        assert [flow for _, flow in plant.commands[before:]] == [90.0, 30.25]

    play(scenario)


def test_stop_really_stops_and_may_be_said_twice() -> None:
    async def scenario(pump: HarvardPump, plant: SteppingPump, twin: HarvardTwin) -> None:
        await pump.infuse(60.0, 300.0)
        for _ in range(2):
            await pump.stop()
            assert (await pump.status()).state is PumpState.STOPPED
            assert plant.flow_ul_min == 0.0
        assert (await pump.status()).alarm is None

    play(scenario, address=7, silent_sets=True)


def test_a_stalled_pump_reports_its_stall() -> None:
    async def scenario(pump: HarvardPump, plant: SteppingPump, twin: HarvardTwin) -> None:
        await pump.infuse(60.0, 300.0)
        await asyncio.sleep(90.0)
        status = await pump.status()
        assert (status.state, status.alarm) == (PumpState.STOPPED, "stalled")
        assert status.infused_ul == pytest.approx(50.0)
        with pytest.raises(DeviceAlarmError, match="stalled") as caught:
            await pump.infuse(60.0, 100.0)
        assert (caught.value.device, caught.value.alarm) == ("lead", "stalled")
        await pump.stop()
        assert (await pump.status()).alarm == "stalled"
        pump.clear_alarm()
        plant.stall_at_ul = math.inf
        assert await pump.infuse(60.0, 100.0) == 60.0

    play(scenario, plant=SteppingPump(stall_at_ul=50.0))


def test_a_power_blip_shows_in_the_counters_and_keeps_what_was_counted() -> None:
    async def scenario(pump: HarvardPump, plant: SteppingPump, twin: HarvardTwin) -> None:
        await pump.infuse(60.0, 300.0)
        await asyncio.sleep(20.0)
        seen_ul = (await pump.status()).infused_ul
        twin.power_cycle(0)
        status = await pump.status()
        assert (status.state, status.alarm) == (PumpState.STOPPED, "power was reset")
        assert status.infused_ul == pytest.approx(seen_ul)

    play(scenario)


def test_a_pump_stopped_by_its_key_is_noticed() -> None:
    async def scenario(pump: HarvardPump, plant: SteppingPump, twin: HarvardTwin) -> None:
        await pump.infuse(60.0, 300.0)
        await asyncio.sleep(20.0)
        twin.receive(b"stp\r")
        assert (await pump.status()).alarm == "stopped before its target"

    play(scenario)


def test_a_set_that_a_silent_pump_did_not_take_is_noticed() -> None:
    """A chained pump that answers nothing to a set is believed only when it reads back."""

    class Deaf(HarvardTwin):
        def receive(self, data: bytes) -> None:
            if not data.startswith(b"12:irate 6"):
                super().receive(data)

    async def main() -> None:
        plant = SteppingPump()
        pump = HarvardPump(Line(MemoryTransport(Deaf({12: plant}, silent_sets=True))), 12, 4.61)
        await pump.connect()
        with pytest.raises(ReadBackError, match=r"0\.5 %"):
            await pump.infuse(60.0, 100.0)
        assert plant.flow_ul_min == 0.0

    run_virtual(main())


def test_a_prompt_that_comes_unasked_is_not_taken_for_an_answer() -> None:
    seen: list[bytes] = []

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        seen.append(data)
        return [(0.0, b"\nT*"), (0.0, data)] if len(seen) % 3 == 0 else [(0.0, data)]

    async def scenario(pump: HarvardPump, plant: SteppingPump, twin: HarvardTwin) -> None:
        for flow in (10.0, 20.0, 30.0):
            assert await pump.infuse(flow, 100.0) == flow
            assert plant.flow_ul_min == flow
        assert len(seen) > 30

    play(scenario, bend=bend)


def test_late_answers_are_not_taken_for_the_next_ones() -> None:
    seen: list[bytes] = []

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        seen.append(data)
        return [(0.8 if len(seen) % 7 == 0 else 0.0, data)]

    async def scenario(pump: HarvardPump, plant: SteppingPump, twin: HarvardTwin) -> None:
        for flow in (10.0, 20.0, 30.0):
            assert await pump.infuse(flow, 100.0) == flow
            assert plant.flow_ul_min == flow

    for address in (0, 12):
        play(scenario, address=address, bend=bend)


def test_a_silent_pump_that_announces_its_target_is_still_taken_for_silent() -> None:
    async def scenario(pump: HarvardPump, plant: SteppingPump, twin: HarvardTwin) -> None:
        for flow in (60.0, 30.0):
            # Ends about when the pump is next spoken to, so that its T* is met in an answer's place.
            for volume in (1.0, 1.1, 1.2, 1.3):
                assert await pump.infuse(flow, volume) == flow
        await asyncio.sleep(5.0)
        assert (await pump.status()).state is PumpState.STOPPED

    play(scenario, address=12, silent_sets=True)


@pytest.mark.parametrize("address", [0, 12])
def test_garbage_and_losses_on_the_line_give_no_wrong_flow(address: int) -> None:
    dice = random.Random(11)

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        if dice.random() < 0.05:
            return []
        return [(0.0, bytes(dice.randrange(256) if dice.random() < 0.01 else byte for byte in data))]

    async def main() -> None:
        plant = SteppingPump()
        wire = FaultyWire(HarvardTwin({address: plant}), bend)
        pump = HarvardPump(Line(MemoryTransport(wire)), address, 4.61, 500.0)
        given = 0
        for attempt in range(40):
            flow = 20.0 + attempt
            try:
                await pump.connect()
                actual = await pump.infuse(flow, 40.0)
            except DriverError:
                continue
            given += 1
            assert actual == pytest.approx(flow, rel=0.005)
            assert plant.flow_ul_min == pytest.approx(actual)
            await asyncio.sleep(150.0)
            assert plant.flow_ul_min == 0.0
        assert given > 15

    run_virtual(main())


def test_a_lost_answer_to_the_start_is_looked_into_not_repeated() -> None:
    starts: list[bytes] = []

    class Counting(HarvardTwin):
        def receive(self, data: bytes) -> None:
            starts.extend([data] if b"irun" in data else [])
            super().receive(data)

    async def main() -> None:
        plant = SteppingPump()
        wire = FaultyWire(Counting({0: plant}), lambda data: [] if data == b"\n>" else [(0.0, data)])
        pump = HarvardPump(Line(MemoryTransport(wire)), 0, 4.61)
        await pump.connect()
        assert await pump.infuse(60.0, 100.0) == 60.0
        assert (plant.flow_ul_min, len(starts)) == (60.0, 1)

    run_virtual(main())


def test_a_damaged_counter_raises_no_alarm() -> None:
    """Nothing guards an answer: a volume that cannot be is asked for again."""
    damage = [False]

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        if damage[0] and b"i..." in data:
            damage[0] = False
            head, _, tail = data.rpartition(b"0 ")
            return [(0.0, head + b"09999 " + tail)]
        return [(0.0, data)]

    async def scenario(pump: HarvardPump, plant: SteppingPump, twin: HarvardTwin) -> None:
        await pump.infuse(60.0, 300.0)
        await asyncio.sleep(60.0)
        damage[0] = True
        status = await pump.status()
        assert not damage[0]
        assert status.alarm is None
        assert status.infused_ul == pytest.approx(60.0, abs=0.5)

    play(scenario, bend=bend)


@pytest.mark.parametrize("waited_s", [2.0, 60.0])
def test_a_counter_that_runs_ahead_of_its_rate_is_asked_for_again(waited_s: float) -> None:
    """A digit that comes twice stays below the target, and would be what the next count has fallen from."""
    damage = [False]

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        if damage[0] and b" i..." in data:
            damage[0] = False
            return [(0.0, re.sub(rb"(\d)(\d* i\.\.\.)", rb"\1\1\2", data))]
        return [(0.0, data)]

    async def scenario(pump: HarvardPump, plant: SteppingPump, twin: HarvardTwin) -> None:
        await pump.infuse(60.0, 3000.0)
        await asyncio.sleep(waited_s)
        damage[0] = True
        for _ in range(2):
            status = await pump.status()
            assert not damage[0]
            assert status.alarm is None
            assert status.infused_ul == pytest.approx(waited_s, abs=1.0)

    play(scenario, bend=bend)


def test_chained_pumps_share_a_line_and_do_not_mix() -> None:
    async def main() -> None:
        plants = {address: SteppingPump() for address in (0, 1, 12)}
        line = Line(MemoryTransport(HarvardTwin(plants)))
        pumps = {address: HarvardPump(line, address, 4.61, name=f"p{address}") for address in plants}
        await asyncio.gather(*(pump.connect() for pump in pumps.values()))
        await asyncio.gather(*(pump.infuse(10.0 + address, 500.0) for address, pump in pumps.items()))
        assert [plants[address].flow_ul_min for address in plants] == [10.0, 11.0, 22.0]
        await pumps[1].stop()
        assert [plants[address].flow_ul_min for address in plants] == [10.0, 0.0, 22.0]
        for pump in pumps.values():
            await pump.close()

    run_virtual(main())


def test_a_pump_found_running_is_stopped_by_connect() -> None:
    async def scenario(pump: HarvardPump, plant: SteppingPump, twin: HarvardTwin) -> None:
        await pump.infuse(60.0, 300.0)
        second = HarvardPump(Line(MemoryTransport(twin)), 0, 4.61)
        await second.connect()
        assert plant.flow_ul_min == 0.0
        assert (await second.status()).infused_ul == 0.0

    play(scenario)


@pytest.mark.parametrize(("flow", "volume"), [(0.001, 10.0), (1e5, 10.0), (60.0, 0.0), (60.0, 5001.0), (math.nan, 1.0)])
def test_out_of_range_is_refused_with_the_range_and_nothing_is_sent(flow: float, volume: float) -> None:
    async def scenario(pump: HarvardPump, plant: SteppingPump, twin: HarvardTwin) -> None:
        with pytest.raises(OutOfRangeError) as caught:
            await pump.infuse(flow, volume)
        assert caught.value.low < caught.value.high
        assert plant.commands[1:] == []

    play(scenario)


def test_the_flow_range_is_the_data_sheets_until_the_pump_has_said_its_own() -> None:
    """11 Elite: 88.28 mL/min with a 26.6 mm syringe. PHD Ultra: 190.8 mm/min."""
    line = Line(MemoryTransport(HarvardTwin({0: SteppingPump()})))
    assert HarvardPump(line, 0, 26.59, model="11 Elite").flow_range_ul_min[1] == pytest.approx(88_280, rel=1e-3)

    async def scenario(pump: HarvardPump, plant: SteppingPump, twin: HarvardTwin) -> None:
        assert pump.flow_range_ul_min == (0.0030044, 3184.7)

    play(scenario)
    with pytest.raises(OutOfRangeError):
        HarvardPump(line, 0, 34.0, model="11 Elite")


def test_a_refusal_carries_the_pumps_words() -> None:
    async def main() -> None:
        twin = HarvardTwin({0: SteppingPump()})
        pump = HarvardPump(Line(MemoryTransport(twin)), 0, 4.61, 5e5)
        with pytest.raises(RefusedError, match=r"asked svolume 500 ml.*Out of range"):
            await pump.connect()

    run_virtual(main())


def test_an_absent_pump_is_a_timeout_that_says_what_was_asked() -> None:
    async def main() -> None:
        line = Line(MemoryTransport(HarvardTwin({0: SteppingPump()}), name="COM3"))
        with pytest.raises(WireTimeoutError, match=r"ghost on COM3: .*asked ver"):
            await HarvardPump(line, 5, 4.61, name="ghost").connect()

    run_virtual(main())
