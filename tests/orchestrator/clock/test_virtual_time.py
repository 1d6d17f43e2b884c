"""Virtual time: the clock jumps, threads take turns, and the order depends on nothing but the program."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from orchestrator.clock.virtual_time import (
    RealClock,
    UtcClock,
    VirtualClock,
    VirtualTimeDeadlockError,
    VirtualTimeLoop,
    WorkerAbandonedError,
    blocking_clock,
    run_real,
    run_virtual,
)


def running() -> tuple[VirtualTimeLoop, VirtualClock]:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop, VirtualClock(loop)


def test_a_day_passes_in_a_moment() -> None:
    async def day() -> float:
        loop, _ = running()
        for _ in range(24 * 60):
            await asyncio.sleep(60.0)
        return loop.time()

    began = time.monotonic()
    assert run_virtual(day()) == 86_400.0
    assert time.monotonic() - began < 5.0


def test_a_timer_fires_at_exactly_its_own_instant() -> None:
    async def main() -> list[float]:
        loop, _ = running()
        seen: list[float] = []
        for when in (12_345.1, 12_345.2, 12_345.3, 1e7 + 0.1):
            loop.call_at(when, lambda: seen.append(loop.time()))
        await asyncio.sleep(2e7)
        return seen

    assert run_virtual(main(), start_s=0.7) == [12_345.1, 12_345.2, 12_345.3, 1e7 + 0.1]


@pytest.mark.parametrize("others", [0, 1, 7, 50])
def test_timers_of_one_instant_fire_in_the_order_in_which_they_were_set_whoever_else_waits(others: int) -> None:
    async def main() -> list[int]:
        loop, _ = running()
        seen: list[int] = []
        cancelled = []
        for turn in range(40):
            for other in range(others):
                timer = loop.call_at(float(other % 9), lambda: None)
                cancelled.append(timer) if other % 2 else None
            loop.call_at(5.0, seen.append, turn)
        for timer in cancelled:
            timer.cancel()
        await asyncio.sleep(10.0)
        return seen

    assert run_virtual(main()) == list(range(40))


def test_time_stands_still_while_callbacks_run() -> None:
    async def main() -> bool:
        loop, _ = running()
        before = loop.time()
        sum(range(100_000))
        await asyncio.sleep(0)
        return loop.time() == before

    assert run_virtual(main(), start_s=5.0)


def test_a_timeout_beats_a_longer_wait_and_cancels_it() -> None:
    async def main() -> float:
        loop, _ = running()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(1e6), timeout=30.0)
        return loop.time()

    assert run_virtual(main()) == 30.0


def test_waiting_for_what_can_never_happen_is_named_as_a_deadlock() -> None:
    async def waits_for_ever() -> None:
        await asyncio.sleep(3.0)
        await asyncio.Event().wait()

    with pytest.raises(VirtualTimeDeadlockError, match="waits_for_ever") as caught:
        run_virtual(waits_for_ever())
    assert caught.value.time_s == 3.0


def test_the_order_of_many_tasks_is_the_same_every_time() -> None:
    async def main() -> list[tuple[float, int]]:
        loop, clock = running()
        seen: list[tuple[float, int]] = []

        def worker(n: int) -> None:
            for _ in range(5):
                clock.sleep(1.0 + n % 3)
                seen.append((clock.now(), n))

        async def sleeper(n: int) -> None:
            for _ in range(5):
                await asyncio.sleep(1.0 + n % 4)
                seen.append((loop.time(), n))

        await asyncio.gather(*(loop.run_in_executor(None, worker, n) for n in range(10)), *map(sleeper, range(10, 20)))
        return seen

    first = run_virtual(main())
    assert len(first) == 100
    assert [t for t, _ in first] == sorted(t for t, _ in first)
    assert all(run_virtual(main()) == first for _ in range(3))


def test_only_one_thread_runs_at_any_moment() -> None:
    async def main() -> None:
        loop, clock = running()
        inside = 0

        def worker() -> None:
            nonlocal inside
            for _ in range(20):
                inside += 1
                assert inside == 1
                sum(range(2000))
                assert inside == 1
                inside -= 1
                clock.sleep(0.5)

        await asyncio.gather(*(loop.run_in_executor(None, worker) for _ in range(8)))

    run_virtual(main())


def test_a_worker_returns_its_value_and_raises_its_error() -> None:
    async def main() -> int:
        loop, _ = running()
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, lambda: 1 // 0)
        with pytest.raises(RuntimeError, match="StopIteration"):
            await loop.run_in_executor(None, next, iter(()))
        return await asyncio.to_thread(max, 3, 7)

    assert run_virtual(main()) == 7


def test_a_worker_sleeps_in_virtual_time_while_others_go_on() -> None:
    async def main() -> list[str]:
        loop, clock = running()
        seen: list[str] = []

        def expose() -> None:
            clock.sleep(10.0)
            seen.append(f"exposed {clock.now():g}")

        job = loop.run_in_executor(None, expose)
        await asyncio.sleep(4.0)
        seen.append(f"looked {loop.time():g}")
        await job
        return seen

    assert run_virtual(main()) == ["looked 4", "exposed 10"]


def test_idle_worker_threads_are_used_again() -> None:
    async def main() -> set[str]:
        loop, _ = running()
        return {await loop.run_in_executor(None, lambda: threading.current_thread().name) for _ in range(20)}

    assert len(run_virtual(main())) == 1


def test_a_dedicated_executor_keeps_its_thread_and_its_order() -> None:
    async def main() -> tuple[list[tuple[int, float]], int]:
        loop, clock = running()
        seen: list[tuple[int, float]] = []
        threads: set[int] = set()

        def job(n: int) -> None:
            threads.add(threading.get_ident())
            clock.sleep(1.0)
            seen.append((n, clock.now()))

        with ThreadPoolExecutor(1) as pool:
            jobs = [loop.run_in_executor(pool, job, n) for n in range(4)]
            jobs[2].cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
        with pytest.raises(RuntimeError):
            await loop.run_in_executor(pool, job, 9)
        return seen, len(threads)

    assert run_virtual(main()) == ([(0, 1.0), (1, 2.0), (3, 3.0)], 1)


def test_cancelling_the_wait_does_not_cancel_the_worker() -> None:
    done: list[float] = []

    async def main() -> None:
        loop, clock = running()

        def job() -> None:
            clock.sleep(5.0)
            done.append(clock.now())

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(loop.run_in_executor(None, job), timeout=1.0)

    run_virtual(main())
    assert done == [5.0]


def test_a_worker_that_still_sleeps_when_the_loop_closes_is_told() -> None:
    told: list[BaseException] = []
    loop = VirtualTimeLoop()
    clock = VirtualClock(loop)

    def job() -> None:
        try:
            clock.sleep(1e9)
        except WorkerAbandonedError as error:
            told.append(error)

    async def main() -> None:
        asyncio.get_running_loop().run_in_executor(None, job)

    loop.run_until_complete(main())
    loop.close()
    assert len(told) == 1


def test_a_virtual_sleep_outside_a_worker_is_refused() -> None:
    async def main() -> None:
        loop, clock = running()
        with pytest.raises(RuntimeError, match="not a worker"):
            clock.sleep(1.0)
        with pytest.raises(ValueError, match="duration_s"):
            await loop.run_in_executor(None, clock.sleep, -1.0)

    run_virtual(main())


def test_a_paced_loop_keeps_to_the_wall_and_catches_up() -> None:
    async def main() -> list[float]:
        loop, _ = running()
        seen = []
        for _ in range(10):
            await asyncio.sleep(1.0)
            seen.append(loop.time())
            if len(seen) == 3:
                time.sleep(0.05)  # noqa: ASYNC251 - a long computation: five virtual seconds late, none lost
        return seen

    def took_s() -> float:
        began = time.monotonic()
        assert run_virtual(main(), speed=100.0) == [float(n) for n in range(1, 11)]
        return time.monotonic() - began

    # A loop that does not catch up takes 0.15 s every time, a busy machine only now and then.
    assert 0.095 < min(took_s() for _ in range(10)) < 0.145


def test_a_call_from_outside_reaches_a_paced_loop_at_the_time_the_wall_shows() -> None:
    async def main() -> float:
        loop, _ = running()
        called = loop.create_future()
        outside = threading.Timer(0.02, loop.call_soon_threadsafe, (called.set_result, None))
        outside.start()
        await asyncio.wait([called], timeout=1000.0)
        outside.join()
        return loop.time()

    assert 1.9 < run_virtual(main(), speed=100.0) < 100.0


@pytest.mark.parametrize("speed", [0.0, -1.0, float("nan"), float("inf")])
def test_a_meaningless_speed_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed"):
        VirtualTimeLoop(speed=speed)


def test_a_real_socket_is_served_between_jumps() -> None:
    async def main() -> bytes:
        loop, _ = running()
        left, right = socket.socketpair()
        with left, right:
            left.setblocking(False)
            right.setblocking(False)
            waiting = loop.create_task(loop.sock_recv(left, 5))
            await asyncio.sleep(100.0)
            assert not waiting.done()
            await loop.sock_sendall(right, b"hello")
            return await waiting

    assert run_virtual(main()) == b"hello"


def test_ctrl_c_cancels_the_coroutine_which_may_still_clean_up() -> None:
    cleaned: list[float] = []

    async def main() -> None:
        loop, _ = running()
        try:
            while loop.time() < 100.0:
                await asyncio.sleep(1.0)
                if loop.time() == 50.0:
                    os.kill(os.getpid(), signal.SIGINT)
        finally:
            await asyncio.sleep(30.0)
            cleaned.append(loop.time())

    with pytest.raises(KeyboardInterrupt):
        run_virtual(main())
    assert len(cleaned) == 1


def test_utc_counts_from_a_fixed_epoch_in_virtual_time() -> None:
    async def main() -> tuple[float, datetime]:
        utc = UtcClock(asyncio.get_running_loop())
        await asyncio.sleep(1.5)
        return utc.t_s(), utc.utc()

    assert run_virtual(main(), start_s=10.0) == (11.5, datetime(2000, 1, 1, 0, 0, 11, 500_000, tzinfo=UTC))


def test_a_real_loop_has_a_real_clock() -> None:
    async def main() -> tuple[float, float, float]:
        loop = asyncio.get_running_loop()
        clock, utc = blocking_clock(loop), UtcClock(loop, start_s=100.0)
        assert isinstance(clock, RealClock)
        before = clock.now()
        await loop.run_in_executor(None, clock.sleep, 0.01)
        return clock.now() - before, utc.t_s(), abs((utc.utc() - utc.wall()).total_seconds())

    slept_s, t_s, error_s = run_real(main())
    assert 0.009 < slept_s < 1.0
    assert 100.009 < t_s < 101.0
    assert error_s < 0.5
