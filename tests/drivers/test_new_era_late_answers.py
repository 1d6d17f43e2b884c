"""A New Era pump in safe mode whose answers come late or twice: a sound checksum does not say what is answered."""

from __future__ import annotations

import asyncio

import pytest

from drivers import Line, NewEraPump, PumpState
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import MemoryTransport
from simulators.wire_new_era import NewEraTwin
from tests.contract.plants import FaultyWire, SteppingPump


@pytest.mark.parametrize("how", ["late", "twice", "an earlier one in its place"])
@pytest.mark.parametrize("at", range(30))
def test_one_answer_out_of_step_does_not_keep_a_pump_from_what_it_is_told(how: str, at: int) -> None:
    answers: list[bytes] = []

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        answers.append(data)
        if len(answers) - 1 != at:
            return [(0.0, data)]
        bent = {"late": [(1.1, data)], "twice": [(0.0, data), (0.0, data)]}
        return bent.get(how, [(0.0, answers[-2] if at else data)])

    async def main() -> None:
        plant = SteppingPump(since_s=asyncio.get_running_loop().time())
        line = Line(MemoryTransport(FaultyWire(NewEraTwin({0: plant}), bend)))
        pump = NewEraPump(line, 0, 4.61, 500.0, safe_mode_timeout_s=30)
        await pump.connect()
        assert await pump.infuse(60.0, 100.0) == 60.0
        assert plant.flow_ul_min == 60.0
        await asyncio.sleep(2.0)
        assert (await pump.status()).state is PumpState.INFUSING
        await pump.stop()
        assert plant.flow_ul_min == 0.0

    run_virtual(main())


def test_a_pump_is_not_believed_to_stand_still_for_an_answer_of_before_it_ran() -> None:
    answers: list[bytes] = []
    stale: list[bytes] = []

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        answers.append(data)
        return [(0.0, stale.pop() if stale else data)]

    async def main() -> None:
        plant = SteppingPump(since_s=asyncio.get_running_loop().time())
        line = Line(MemoryTransport(FaultyWire(NewEraTwin({0: plant}), bend)))
        pump = NewEraPump(line, 0, 4.61, 500.0, safe_mode_timeout_s=30)
        await pump.connect()
        await pump.infuse(60.0, 100.0)
        stale.append(next(answer for answer in answers if answer[2:5] == b"00S" and len(answer) == 8))
        await pump.stop()
        assert plant.flow_ul_min == 0.0

    run_virtual(main())
