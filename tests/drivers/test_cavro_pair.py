"""A pair of Cavro pumps that hand over to each other, against their twins, in memory and in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
import random
from itertools import pairwise

import pytest

from drivers import CavroPair, DriverError, OutOfRangeError, PumpState
from simulators.wire_cavro import CavroTwin
from tests.contract.plants import SteppingPump
from tests.drivers.cavro_scenes import play_pair


def gaps_s(plant: SteppingPump) -> list[float]:
    """How long the flow pauses between its first start and its last stop."""
    spells = list(pairwise(plant.commands))
    return [later[0] - earlier[0] for earlier, later in spells if earlier[1] == 0.0]


@pytest.mark.parametrize("flow", [300.0, 600.0, 4000.0])
def test_a_pair_gives_its_volume_over_many_strokes_without_a_gap(flow: float) -> None:
    async def scenario(pair: CavroPair, plant: SteppingPump, twin: CavroTwin) -> None:
        assert await pair.infuse(flow, 4500.0) == pytest.approx(flow, rel=0.005)
        began_s = plant.commands[0][0]
        duration_s = 4500.0 / flow * 60.0
        while asyncio.get_running_loop().time() < began_s + duration_s - 5.0:
            await asyncio.sleep(3.0)
            assert (await pair.status()).state is PumpState.INFUSING
        await asyncio.sleep(20.0)
        status = await pair.status()
        assert (status.state, status.alarm) == (PumpState.STOPPED, None)
        assert status.infused_ul == pytest.approx(4500.0, abs=0.2)
        assert plant.base_ul == pytest.approx(4500.0, abs=0.2)
        assert len(gaps_s(plant)) <= 4
        assert max(gaps_s(plant), default=0.0) < 0.1
        assert max(flow_ul_min for _, flow_ul_min in plant.commands) < 2.01 * flow

    play_pair(scenario)


def test_the_hand_over_itself_takes_a_hundredth_of_a_second() -> None:
    async def scenario(pair: CavroPair, plant: SteppingPump, twin: CavroTwin) -> None:
        await pair.infuse(600.0, 8000.0)
        await asyncio.sleep(900.0)
        assert len(gaps_s(plant)) == 7
        assert max(gaps_s(plant)) < 0.02

    play_pair(scenario)


def test_a_look_starts_the_full_syringe_of_a_pair_whose_host_was_too_busy_for_the_hand_over() -> None:
    async def scenario(pair: CavroPair, plant: SteppingPump, twin: CavroTwin) -> None:
        await pair.infuse(600.0, 3000.0)
        keeper = next(task for task in asyncio.all_tasks() if task.get_name() == "strokes of lead")
        await asyncio.sleep(50.0)
        keeper.cancel()
        await asyncio.sleep(100.0)
        assert plant.flow_ul_min == 0.0
        assert (await pair.status()).state is PumpState.INFUSING
        assert plant.flow_ul_min == pytest.approx(600.0, rel=0.005)

    play_pair(scenario)


def test_a_pair_changes_flow_and_bound_on_the_way() -> None:
    async def scenario(pair: CavroPair, plant: SteppingPump, twin: CavroTwin) -> None:
        await pair.infuse(600.0, 3000.0)
        await asyncio.sleep(150.0)
        before = len(plant.commands)
        await pair.infuse(900.0, 3000.0)
        assert [flow for _, flow in plant.commands[before:]] == [900.0]
        await asyncio.sleep(400.0)
        status = await pair.status()
        assert status.state is PumpState.STOPPED
        assert status.infused_ul == pytest.approx(4500.0, abs=5.0)
        assert plant.base_ul == pytest.approx(status.infused_ul, abs=0.2)

    play_pair(scenario)


def test_a_stop_of_a_pair_stops_both() -> None:
    async def scenario(pair: CavroPair, plant: SteppingPump, twin: CavroTwin) -> None:
        await pair.infuse(600.0, 3000.0)
        await asyncio.sleep(104.0)  # one gives, the other fills
        await pair.stop()
        drawn_ul = (await pair.status()).withdrawn_ul
        await asyncio.sleep(100.0)
        assert plant.flow_ul_min == 0.0
        assert (await pair.status()).withdrawn_ul == drawn_ul

    play_pair(scenario)


def test_an_alarm_of_one_stops_the_pair() -> None:
    async def scenario(pair: CavroPair, plant: SteppingPump, twin: CavroTwin) -> None:
        await pair.infuse(600.0, 3000.0)
        plant.stall_at_ul = 1300.0
        await asyncio.sleep(250.0)
        status = await pair.status()
        assert (status.state, status.alarm) == (PumpState.STOPPED, "stalled")
        assert status.infused_ul == pytest.approx(1300.0, abs=0.2)
        assert plant.flow_ul_min == 0.0

    play_pair(scenario)


def test_the_fastest_flow_of_a_pair_leaves_time_to_refill() -> None:
    async def scenario(pair: CavroPair, plant: SteppingPump, twin: CavroTwin) -> None:
        low, high = pair.flow_range_ul_min
        assert low == pytest.approx(125.0)
        assert high == pytest.approx(4800.0)
        with pytest.raises(OutOfRangeError):
            await pair.infuse(high * 1.01, 100.0)
        await pair.infuse(high, 6000.0)
        await asyncio.sleep(90.0)
        assert max(gaps_s(plant)) < 0.02

    play_pair(scenario)


def test_lost_answers_delay_a_pair_and_do_not_stop_it() -> None:
    dice = random.Random(3)

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        return [] if dice.random() < 0.05 else [(0.0, data)]

    async def scenario(pair: CavroPair, plant: SteppingPump, twin: CavroTwin) -> None:
        await pair.infuse(600.0, 6000.0)
        await asyncio.sleep(700.0)
        status = await pair.status()
        assert (status.state, status.alarm) == (PumpState.STOPPED, None)
        assert status.infused_ul == pytest.approx(6000.0, abs=0.2)
        assert plant.base_ul == pytest.approx(6000.0, abs=0.2)

    play_pair(scenario, bend)


@pytest.mark.parametrize("stale", range(8))
def test_a_pair_is_not_believed_to_be_at_rest_for_an_answer_to_an_earlier_question(stale: int) -> None:
    answers: list[bytes] = []
    due: list[int] = []

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        answers.append(data)
        return [(0.0, answers[-2] if len(answers) - 1 in due else data)]

    async def scenario(pair: CavroPair, plant: SteppingPump, twin: CavroTwin) -> None:
        await pair.infuse(600.0, 8000.0)
        await asyncio.sleep(5.0)
        await pair.status()
        assert plant.flow_ul_min > 0.0
        due.append(len(answers) + stale)
        with contextlib.suppress(DriverError):
            await pair.stop()
            assert plant.flow_ul_min == 0.0

    play_pair(scenario, bend)
