"""The passes of a virtual loop: what is called, and in which order, is what asyncio's own pass would call."""

from __future__ import annotations

import asyncio
import random
import signal
import threading
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple

import pytest

from orchestrator.clock.brisk_loop import MANY_TIMERS, BriskLoop
from orchestrator.clock.virtual_time import VirtualTimeLoop, run_virtual

Arguments = TypeVarTuple("Arguments")


class PlainLoop(VirtualTimeLoop):
    """Virtual time with asyncio's own passes."""

    def _run_once(self) -> None:
        super(BriskLoop, self)._run_once()

    def call_soon(
        self, callback: Callable[[*Arguments], object], *args: *Arguments, context: Context | None = None
    ) -> asyncio.Handle:
        return super(BriskLoop, self).call_soon(callback, *args, context=context)


async def bustle(seed: int) -> list[tuple[float, str]]:
    """Tasks that sleep, wait for each other with time-outs, are cancelled, and set more timers than they let fire."""
    loop, rng = asyncio.get_running_loop(), random.Random(seed)
    seen: list[tuple[float, str]] = []
    event = asyncio.Event()

    async def busy(name: str) -> None:
        for turn in range(40):
            await asyncio.sleep(rng.choice((0.0, 0.1, 0.1, 0.25, 1.0)))
            seen.append((loop.time(), f"{name} {turn}"))
            if turn % 7 == 0:
                event.set()
                event.clear()
            try:
                async with asyncio.timeout(rng.choice((0.0, 0.1, 0.3))):
                    await event.wait()
            except TimeoutError:
                seen.append((loop.time(), f"{name} waited"))
            for timer in [loop.call_later(50.0 + n, seen.append, (0.0, "never")) for n in range(9)]:
                timer.cancel()

    tasks = [asyncio.ensure_future(busy(f"task {n}")) for n in range(8)]
    loop.call_at(5.05, tasks[3].cancel)
    await asyncio.gather(*tasks, return_exceptions=True)
    return seen


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_same_things_happen_in_the_same_order_as_with_asyncios_own_passes(seed: int) -> None:
    with asyncio.Runner(loop_factory=PlainLoop) as runner:
        plain = runner.run(bustle(seed))
    brisk = run_virtual(bustle(seed))
    assert brisk == plain
    assert (0.0, "never") not in brisk


def test_timers_that_were_cancelled_do_not_pile_up() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, BriskLoop)
        for _ in range(50):
            for timer in [loop.call_later(1e6, print) for _ in range(100)]:
                timer.cancel()
            await asyncio.sleep(0.1)
        return len(loop._scheduled)

    assert run_virtual(main()) <= 2 * MANY_TIMERS


def test_a_call_from_another_thread_is_heard_without_a_selector() -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        heard: list[str] = []
        thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(heard.append, "hello"))
        thread.start()
        thread.join()
        await asyncio.sleep(0.0)
        return heard[0]

    assert run_virtual(main()) == "hello"


def test_a_signal_that_somebody_waits_for_is_heard_between_jumps() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        heard = asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, heard.set)
        loop.call_later(3.0, signal.raise_signal, signal.SIGUSR1)
        for _ in range(100):
            await asyncio.sleep(1.0)
            if heard.is_set():
                break
        loop.remove_signal_handler(signal.SIGUSR1)
        return loop.time()

    assert run_virtual(main()) < 10.0


def test_what_a_callback_raises_is_reported_and_the_loop_goes_on() -> None:
    async def main() -> tuple[list[str], float]:
        loop = asyncio.get_running_loop()
        said: list[str] = []
        loop.set_exception_handler(lambda _, context: said.append(str(context["exception"])))
        loop.call_later(1.0, lambda: 1 / 0)
        await asyncio.sleep(2.0)
        return said, loop.time()

    assert run_virtual(main()) == (["division by zero"], 2.0)


def test_a_closed_loop_takes_no_more_calls() -> None:
    loop = VirtualTimeLoop()
    loop.close()
    calls: tuple[Callable[[], asyncio.Handle], ...] = (
        lambda: loop.call_soon(print),
        lambda: loop.call_later(1.0, print),
        lambda: loop.call_at(1.0, print),
    )
    for call in calls:
        with pytest.raises(RuntimeError, match="closed"):
            call()
