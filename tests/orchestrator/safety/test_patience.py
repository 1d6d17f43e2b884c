"""One look after the other is waited for, each for a while, and goes on when nobody waits any more."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.clock.virtual_time import run_virtual
from orchestrator.safety.patience import Patience


def after(wait_s: float, answer: str = "answer") -> asyncio.Future[str]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[str] = loop.create_future()
    loop.call_later(wait_s, future.set_result, answer)
    return future


def test_a_task_that_ends_in_time_is_waited_for_no_longer() -> None:
    async def main() -> None:
        patience = Patience()
        task = patience.begin(lambda: after(1.0))
        assert await patience.ended(task, 3.0)
        assert (task.result(), asyncio.get_running_loop().time()) == ("answer", 1.0)
        patience.close()

    run_virtual(main())


def test_a_task_that_takes_longer_goes_on_and_can_be_waited_for_again() -> None:
    async def main() -> None:
        patience, loop = Patience(), asyncio.get_running_loop()
        task = patience.begin(lambda: after(5.0))
        assert not await patience.ended(task, 3.0)
        assert loop.time() == 3.0
        assert not await patience.ended(task, 0.0)
        assert loop.time() == 3.0
        assert await patience.ended(task, 3.0)
        assert loop.time() == 5.0
        patience.close()

    run_virtual(main())


@pytest.mark.parametrize("first_s", [0.5, 2.9])
def test_every_wait_lasts_its_own_time_whenever_the_one_before_began(first_s: float) -> None:
    async def main() -> float:
        patience, loop = Patience(), asyncio.get_running_loop()
        assert await patience.ended(patience.begin(lambda: after(first_s)), 3.0)
        began_s = loop.time()
        assert not await patience.ended(patience.begin(lambda: after(100.0)), 3.0)
        patience.close()
        return loop.time() - began_s

    assert run_virtual(main()) == pytest.approx(3.0)


def test_neither_a_failure_nor_a_cancelled_caller_is_passed_on() -> None:
    async def fail() -> str:
        raise ValueError("bad")

    async def main() -> None:
        patience = Patience()
        failing = patience.begin(fail)
        assert await patience.ended(failing, 3.0)
        assert isinstance(failing.exception(), ValueError)
        lasting = patience.begin(lambda: after(2.0))
        caller = asyncio.ensure_future(patience.ended(lasting, 3.0))
        await asyncio.sleep(1.0)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        assert caller.cancelled() and not lasting.done()
        assert await patience.ended(lasting, 3.0)
        patience.close()

    run_virtual(main())
