"""Time: an asyncio loop whose clock jumps, and the only place where wall time is asked.

`VirtualTimeLoop` is an ordinary selector loop with another clock. `loop.time()` stands still while callbacks run; when
nothing is ready it jumps to the next timer. A day of reactor time then takes as long as its callbacks take, and the
order of events depends on nothing but the program: timers of one instant fire in the order in which they were set.

Threads. `loop.run_in_executor` is a strict hand-off: the loop's thread stands still until the worker either returns or
calls `clock.sleep(duration_s)` of a `VirtualClock`; the end of that sleep is a timer of the loop, which hands control
over again. So exactly one thread runs at any moment. A worker must therefore not wait for the loop by any other means
(`run_coroutine_threadsafe(...).result()` in a worker would wait for ever), and a thread that the loop did not start
may not use the clock. Jobs given to one `ThreadPoolExecutor` run in its own thread, one after the other.

Sockets. Real file descriptors are polled between jumps but virtual time does not wait for them: an unpaced loop runs
through every time-out of a real connection at once. Put both ends of a real wire on `run_real`, or pace the loop.
With no timer left but a real descriptor or a signal handler registered the loop blocks; with neither, nothing can ever
happen again, and it raises `VirtualTimeDeadlockError` with the tasks that wait.
"""

from __future__ import annotations

import asyncio
import math
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypeVar, TypeVarTuple
from weakref import WeakKeyDictionary

from orchestrator.clock.brisk_loop import BriskLoop
from orchestrator.clock.hand_off import Job, Worker, WorkerAbandonedError, current
from orchestrator.clock.loop_parts import IdleSelector, Ready
from orchestrator.clock.paced_time import PacedLoop, run_paced

__all__ = [
    "VIRTUAL_EPOCH",
    "BlockingClock",
    "RealClock",
    "UtcClock",
    "VirtualClock",
    "VirtualTimeDeadlockError",
    "VirtualTimeLoop",
    "WorkerAbandonedError",
    "blocking_clock",
    "run_real",
    "run_virtual",
]

_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")

VIRTUAL_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


class VirtualTimeDeadlockError(RuntimeError):
    """No timer, nothing ready, and nothing outside that could wake the loop: a defect of the program, not of a run."""

    def __init__(self, time_s: float, waiting: tuple[str, ...]) -> None:
        tasks = "; ".join(waiting) or "no task at all"
        super().__init__(f"virtual time stands still at {time_s:.6g} s with nothing scheduled. Waiting: {tasks}")
        self.time_s = time_s
        self.waiting = waiting


class VirtualTimeLoop(BriskLoop):
    """An asyncio loop in virtual seconds from `start_s`.

    `speed` None runs as fast as the machine can. A number holds the loop to that many virtual seconds per wall second,
    measured from the start (so it catches up after a long computation), without changing the order of anything.
    Raises ValueError for a speed that is not positive and finite or a start that is not finite.
    """

    def __init__(self, *, speed: float | None = None, start_s: float = 0.0) -> None:
        if not math.isfinite(start_s):
            raise ValueError(f"start_s must be finite, got {start_s!r}")
        self._now_s = float(start_s)
        self._signals: set[int] = set()
        self._idle_workers: list[Worker] = []
        self._worker_count = 0
        self._jobs: dict[Job, None] = {}
        self._drained: asyncio.Future[None] | None = None
        self._lanes: WeakKeyDictionary[ThreadPoolExecutor, deque[Job]] = WeakKeyDictionary()
        self.set_speed(speed)
        super().__init__(IdleSelector(self._when_idle))
        self._clock_resolution = math.ulp(self._now_s)

    # -- time ---------------------------------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds; constant while callbacks run."""
        return self._now_s

    @property
    def speed(self) -> float | None:
        """Virtual seconds per wall second, or None for as fast as possible."""
        return self._speed

    def set_speed(self, speed: float | None) -> None:
        """Change the pace from now on (call it in the loop's thread). Raises ValueError as the constructor does."""
        if speed is not None and not (math.isfinite(speed) and speed > 0):
            raise ValueError(f"speed must be positive and finite, or None, got {speed!r}")
        self._speed = speed
        self._anchor_wall_s = time.monotonic()
        self._anchor_s = self._now_s

    def _jump(self, when_s: float) -> bool:
        if self._speed is not None:
            return False
        self._move_to(when_s)
        return True

    def _when_idle(self, real: selectors.BaseSelector, timeout_s: float) -> Ready:
        """Nothing is ready: jump to the next timer, wait for the wall where paced, or for the world outside."""
        if timeout_s == math.inf:
            if self._outside.listens:
                return real.select(None)
            raise VirtualTimeDeadlockError(self._now_s, _describe(asyncio.all_tasks(self)))
        # The timer's own instant, not now + timeout: sums of floats would drift by units in the last place.
        due_s = self._scheduled[0].when()
        if self._speed is not None:
            due_wall_s = self._anchor_wall_s + (due_s - self._anchor_s) / self._speed
            while (left_s := due_wall_s - time.monotonic()) > 0:
                ready = real.select(left_s)
                if ready:  # the world outside spoke in between, at the virtual time that the wall shows
                    wall_s = time.monotonic() - self._anchor_wall_s
                    self._move_to(min(due_s, self._anchor_s + wall_s * self._speed))
                    return ready
        self._move_to(due_s)
        return []

    def _move_to(self, time_s: float) -> None:
        self._now_s = max(self._now_s, time_s)
        self._clock_resolution = math.ulp(self._now_s)  # due means due: neither early, nor never at a late hour

    def add_signal_handler(self, sig: int, callback: Callable[[*_Ts], object], *args: *_Ts) -> None:
        super().add_signal_handler(sig, callback, *args)
        self._signals.add(sig)
        self._outside.heed_signals(True)

    def remove_signal_handler(self, sig: int) -> bool:
        self._signals.discard(sig)
        self._outside.heed_signals(bool(self._signals))
        return super().remove_signal_handler(sig)

    # -- worker threads -----------------------------------------------------------------------------------------

    def run_in_executor(self, executor: Executor | None, func: Callable[[*_Ts], _T], *args: *_Ts) -> asyncio.Future[_T]:
        """As in asyncio, but the loop stands still while the function runs; only `VirtualClock.sleep` lets it go on.

        None uses the loop's own reusable threads, as many as sleep at once. A ThreadPoolExecutor runs its jobs in its
        own thread, one at a time, in order. Any other executor is waited for.
        """
        if self.is_closed():
            raise RuntimeError("Event loop is closed")
        future: asyncio.Future[_T] = self.create_future()
        job = Job(lambda: func(*args), future)
        if executor is None:
            worker = self._idle_workers.pop() if self._idle_workers else self._new_worker()
            self._jobs[job] = None
            worker.start_job(job)
            self._wait(job, lambda: self._idle_workers.append(worker))
        elif isinstance(executor, ThreadPoolExecutor):
            lane = self._lanes.setdefault(executor, deque())
            lane.append(job)
            if len(lane) == 1:
                self._start_lane(executor, lane)
        else:
            try:
                job.result = executor.submit(func, *args).result()
            except Exception as error:  # noqa: BLE001 - belongs to whoever awaits the future
                job.error = error
            self._deliver(job)
        return future

    def _new_worker(self) -> Worker:
        self._worker_count += 1
        return Worker(self._worker_count)

    def _start_lane(self, executor: ThreadPoolExecutor, lane: deque[Job]) -> None:
        """Start the job at the head of an executor's queue, dropping those cancelled before they began."""
        while lane and lane[0].future.cancelled():
            lane.popleft()
        if not lane:
            return
        job = lane[0]

        def go_on() -> None:
            lane.popleft()
            self._start_lane(executor, lane)

        try:
            executor.submit(job.run)
        except RuntimeError as error:  # shut down meanwhile
            job.error = error
            self._deliver(job)
            go_on()
            return
        self._jobs[job] = None
        self._wait(job, go_on)

    def _wait(self, job: Job, then: Callable[[], None]) -> None:
        """Stand still until the worker sleeps (a timer resumes it) or has finished (`then` frees its thread)."""
        try:
            job.yielded.acquire()
        except BaseException:  # a second Ctrl-C: the worker is left to itself, nobody will wait for it again
            job.abandoned = True
            del self._jobs[job]
            raise
        if not job.finished:
            self.call_later(job.sleep_s, self._resume, job, then)
            return
        del self._jobs[job]
        if not self._jobs and self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._deliver(job)
        then()

    def _resume(self, job: Job, then: Callable[[], None]) -> None:
        job.resume.release()
        self._wait(job, then)

    def _deliver(self, job: Job) -> None:
        """Settle the future in the next pass of the loop, as a real executor does."""
        self.call_soon(_settle, job)

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """Let the sleeping workers finish in virtual time, for at most `timeout` (300) virtual seconds."""
        if self._jobs:
            self._drained = self.create_future()
            await asyncio.wait([self._drained], timeout=300.0 if timeout is None else timeout)

    def close(self) -> None:
        """Close the loop; a worker that still sleeps gets `WorkerAbandonedError` from its sleep."""
        if self.is_running() or self.is_closed():
            super().close()  # raises, or does nothing
            return
        for job in list(self._jobs):
            job.abandoned = True
            job.resume.release()
            job.yielded.acquire(timeout=1.0)
        self._jobs.clear()
        for worker in self._idle_workers:
            worker.start_job(None)
        for worker in self._idle_workers:
            worker.join(timeout=1.0)
        self._idle_workers.clear()
        super().close()


def _settle(job: Job) -> None:
    future, error = job.future, job.error
    if future.done():
        return
    if error is None:
        future.set_result(job.result)
    elif isinstance(error, StopIteration):
        future.set_exception(RuntimeError("the worker's function raised StopIteration"))
    else:
        future.set_exception(error)


def _describe(tasks: set[asyncio.Task[Any]]) -> tuple[str, ...]:
    """Name and innermost visible line of each waiting task."""
    lines = []
    for task in sorted(tasks, key=lambda t: t.get_name()):
        frames = task.get_stack(limit=1)
        where = f" at {frames[0].f_code.co_filename}:{frames[0].f_lineno}" if frames else ""
        lines.append(f"{task.get_name()} in {getattr(task.get_coro(), '__qualname__', '?')}{where}")
    return tuple(lines)


class BlockingClock(Protocol):
    """What blocking code in worker threads waits with (the same shape as `drivers.transport.BlockingClock`)."""

    def now(self) -> float: ...

    def sleep(self, duration_s: float) -> None: ...


class VirtualClock:
    """The blocking clock of a virtual loop, for functions that run in `loop.run_in_executor`."""

    def __init__(self, loop: VirtualTimeLoop) -> None:
        self._loop = loop

    def now(self) -> float:
        """Virtual seconds, the loop's time."""
        return self._loop.time()

    def sleep(self, duration_s: float) -> None:
        """Block the calling worker for virtual seconds. Raises RuntimeError outside `loop.run_in_executor`."""
        job = current.job
        if job is None or job.future.get_loop() is not self._loop:
            raise RuntimeError(
                f"a virtual sleep of {duration_s} s in thread {threading.current_thread().name!r}, "
                "which is not a worker of this virtual loop"
            )
        if not duration_s >= 0 or duration_s == math.inf:
            raise ValueError(f"duration_s must be finite and not negative, got {duration_s!r}")
        job.sleep(duration_s)


class RealClock:
    """The blocking clock of an ordinary loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pace = loop.pace if isinstance(loop, PacedLoop) else 1.0
        self._never = threading.Event()

    def now(self) -> float:
        """Seconds of the loop's monotonic clock."""
        return self._loop.time()

    def sleep(self, duration_s: float) -> None:
        """Block the calling worker for seconds of the loop, the wall's unless it is paced."""
        if not duration_s >= 0 or duration_s == math.inf:
            raise ValueError(f"duration_s must be finite and not negative, got {duration_s!r}")
        self._never.wait(duration_s / self._pace)


def blocking_clock(loop: asyncio.AbstractEventLoop) -> BlockingClock:
    """The blocking clock that belongs to a loop."""
    return VirtualClock(loop) if isinstance(loop, VirtualTimeLoop) else RealClock(loop)


class UtcClock:
    """Run time and UTC from one loop. Nothing else asks what time it is.

    On a virtual loop `t_s()` is the loop's time and UTC counts from 2000-01-01T00:00:00Z at zero. On a real loop
    `t_s()` counts from `start_s` at construction, and UTC is the wall's at construction plus what the loop's monotonic
    clock has run since, so that it never goes back.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, start_s: float = 0.0) -> None:
        self._loop = loop
        self.virtual = isinstance(loop, VirtualTimeLoop)
        self._loop_start_s = 0.0 if self.virtual else loop.time() - start_s
        self._epoch = VIRTUAL_EPOCH if self.virtual else datetime.now(UTC) - timedelta(seconds=start_s)

    def t_s(self) -> float:
        """Seconds of the run."""
        return self._loop.time() if self.virtual else self._loop.time() - self._loop_start_s

    def loop_time(self, t_s: float) -> float:
        """The loop's time at a moment of the run; exactly `t_s` on a virtual loop."""
        return t_s if self.virtual else t_s + self._loop_start_s

    def utc(self) -> datetime:
        """The instant, with time zone."""
        return self.at(self.t_s())

    def at(self, t_s: float) -> datetime:
        """UTC of a moment of the run."""
        return self._epoch + timedelta(seconds=t_s)

    def wall(self) -> datetime:
        """The wall's own UTC now, also under virtual time: a fact of the host, never of the run."""
        return datetime.now(UTC)


def run_virtual(
    coroutine: Coroutine[Any, Any, _T], *, speed: float | None = None, start_s: float = 0.0, debug: bool | None = None
) -> _T:
    """Run a coroutine to its end on a fresh virtual loop, as `asyncio.run` does (Ctrl-C cancels it, twice breaks in).

    Raises VirtualTimeDeadlockError when it waits for something that can never happen.
    """
    with asyncio.Runner(debug=debug, loop_factory=lambda: VirtualTimeLoop(speed=speed, start_s=start_s)) as runner:
        return runner.run(coroutine)


def run_real(coroutine: Coroutine[Any, Any, _T], *, pace: float = 1.0, debug: bool | None = None) -> _T:
    """Run a coroutine to its end on an ordinary loop in wall time, or ``pace`` times as fast (served twins only)."""
    if pace != 1.0:
        return run_paced(coroutine, pace)
    with asyncio.Runner(debug=debug) as runner:
        return runner.run(coroutine)
