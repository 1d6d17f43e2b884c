"""Handing control between an event loop and a worker thread, so that exactly one of the two runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any


class WorkerAbandonedError(RuntimeError):
    """Raised inside a worker that still sleeps when its virtual loop is closed."""


class Job:
    """One function in a worker thread. Two locks used as binary semaphores pass control to and fro."""

    __slots__ = ("_call", "abandoned", "error", "finished", "future", "result", "resume", "sleep_s", "yielded")

    def __init__(self, call: Callable[[], Any], future: asyncio.Future[Any]) -> None:
        self._call = call
        self.future = future
        self.resume = threading.Lock()
        self.resume.acquire()
        self.yielded = threading.Lock()
        self.yielded.acquire()
        self.result: Any = None
        self.error: BaseException | None = None
        self.sleep_s = 0.0
        self.finished = False
        self.abandoned = False

    def run(self) -> None:
        """In the worker: call the function to its end, keep what came of it, give control back."""
        current.job = self
        try:
            self.result = self._call()
        except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to whoever awaits the future
            self.error = error
        finally:
            current.job = None
            self.finished = True
            self.yielded.release()

    def sleep(self, duration_s: float) -> None:
        """In the worker: give control back until the loop's timer returns it."""
        if not self.abandoned:
            self.sleep_s = duration_s
            self.yielded.release()
            self.resume.acquire()
        if self.abandoned:
            raise WorkerAbandonedError(f"the virtual loop was closed during a sleep of {duration_s} s")


class CurrentJob(threading.local):
    job: Job | None = None


current = CurrentJob()  # which job this thread runs: a fact of the thread, not a state of the program


class Worker(threading.Thread):
    """A reusable daemon thread; `start_job(None)` ends it."""

    def __init__(self, number: int) -> None:
        super().__init__(name=f"virtual-worker-{number}", daemon=True)
        self._go = threading.Lock()
        self._go.acquire()
        self._job: Job | None = None
        self.start()

    def start_job(self, job: Job | None) -> None:
        self._job = job
        self._go.release()

    def run(self) -> None:
        while True:
            self._go.acquire()
            job, self._job = self._job, None
            if job is None:
                return
            job.run()
            del job
