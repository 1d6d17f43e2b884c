"""A loop that is faster than the wall waits less and says that it waited as long as it should."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.clock.paced_time import PacedLoop
from orchestrator.clock.virtual_time import UtcClock, blocking_clock, run_real


def test_a_minute_of_a_paced_loop_is_over_soon() -> None:
    async def main() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        clock = UtcClock(loop)
        began_s = loop.time()
        await asyncio.sleep(60.0)
        return loop.time() - began_s, clock.t_s()

    slept_s, clocked_s = run_real(main(), pace=1000.0)
    assert 60.0 <= slept_s < 600.0
    assert clocked_s == pytest.approx(slept_s, abs=60.0)


def test_worker_threads_sleep_at_the_same_pace() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        clock = blocking_clock(loop)
        began_s = loop.time()
        await loop.run_in_executor(None, clock.sleep, 60.0)
        return clock.now() - began_s

    assert 60.0 <= run_real(main(), pace=1000.0) < 600.0


@pytest.mark.parametrize("pace", [0.0, -1.0, float("nan"), float("inf")])
def test_a_pace_that_is_none_is_refused(pace: float) -> None:
    with pytest.raises(ValueError, match="pace"):
        PacedLoop(pace)
