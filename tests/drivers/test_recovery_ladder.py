"""The recovery ladder by itself: repeated, an outage, lost, taken back, in virtual time."""

from __future__ import annotations

import asyncio
import logging

import numpy as np
import pytest

from drivers import (
    LostDeviceError,
    Quality,
    RecoveryRules,
    Rung,
    WireTimeoutError,
)
from drivers.recovery import Ladder
from orchestrator.clock.virtual_time import run_virtual

RULES = RecoveryRules(bound_s=30.0)


async def nothing() -> None:
    return None


def never() -> bool:
    return False


def test_a_single_failure_is_repeated_and_is_no_outage(caplog: pytest.LogCaptureFixture) -> None:
    calls = 0

    async def act() -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise WireTimeoutError("no answer")
        return 7

    async def main() -> None:
        ladder = Ladder("lead", RULES)
        assert await ladder.run("status", act, nothing, never) == 7
        assert (ladder.rung, ladder.outages) == (Rung.WORKING, 0)

    run_virtual(main())
    assert caplog.records == []


def test_an_outage_has_one_line_of_log_at_its_beginning_and_one_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ladder = Ladder("lead", RULES)

        async def act() -> float:
            if loop.time() < 12.0:
                raise WireTimeoutError("no answer", port="COM3")
            return loop.time()

        async def rejoin() -> None:
            await act()

        assert 12.0 <= await ladder.run("status", act, rejoin, never) < 17.0
        assert (ladder.rung, ladder.outages, ladder.quality) == (Rung.WORKING, 1, Quality.GOOD)

    run_virtual(main())
    words = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert len(words) == 2
    assert words[0][1].startswith("lead: outage: COM3: no answer")
    assert words[1][1].startswith("lead: back after 1")


def test_an_outage_longer_than_its_bound_loses_the_device(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ladder = Ladder("lead", RULES)

        async def act() -> None:
            raise WireTimeoutError("no answer", port="COM3", answered=b"\x02")

        with pytest.raises(LostDeviceError, match="lost for 3") as caught:
            await ladder.run("status", act, act, never)
        assert 30.0 <= loop.time() <= 31.0
        assert (caught.value.device, caught.value.asked, caught.value.port) == ("lead", "status", "COM3")
        assert (ladder.rung, ladder.quality) == (Rung.LOST, Quality.BAD)
        # A lost device costs each caller one try, so a safe sequence does not wait for it.
        with pytest.raises(LostDeviceError):
            await ladder.run("stop", act, act, never)
        assert loop.time() <= 31.0

    run_virtual(main())
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.ERROR]


def test_a_lost_device_that_answers_again_is_taken_back() -> None:
    async def main() -> None:
        ladder = Ladder("lead", RULES)
        dead = True

        async def act() -> str:
            if dead:
                raise WireTimeoutError("no answer")
            return "here"

        async def rejoin() -> None:
            await act()

        with pytest.raises(LostDeviceError):
            await ladder.run("status", act, rejoin, never)
        dead = False
        assert await ladder.run("stop", act, rejoin, never) == "here"
        assert ladder.rung is Rung.WORKING

    run_virtual(main())


def test_waits_grow_with_a_jitter_that_belongs_to_seed_and_device() -> None:
    def tries(device: str, seed: int) -> list[float]:
        times: list[float] = []

        async def main() -> None:
            loop = asyncio.get_running_loop()

            async def act() -> None:
                raise WireTimeoutError("no answer")

            async def rejoin() -> None:
                times.append(loop.time())
                raise WireTimeoutError("no answer")

            with pytest.raises(LostDeviceError):
                await Ladder(device, RULES, seed).run("status", act, rejoin, never)

        run_virtual(main())
        return times

    waits = np.diff(tries("lead", 1))
    assert waits[0] < waits[1] < waits[2]
    assert waits.max() <= RULES.longest_wait_s * (1.0 + RULES.jitter)
    assert tries("lead", 1) == tries("lead", 1)
    assert tries("lead", 1) != tries("lead", 2)
    assert tries("lead", 1) != tries("salt", 1)


def test_a_bad_answer_of_the_device_itself_is_no_outage() -> None:
    async def main() -> None:
        ladder = Ladder("lead", RULES)

        async def act() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await ladder.run("status", act, nothing, never)
        assert ladder.rung is Rung.WORKING

    run_virtual(main())


@pytest.mark.parametrize("wrong", [{"bound_s": 0.0}, {"bound_s": float("nan")}, {"first_wait_s": 9.0}, {"jitter": 1.0}])
def test_rules_that_make_no_sense_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        RecoveryRules(**wrong)
