"""Jobs in processes of their own, which end with whoever waits for them."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any, TypeVar

from orchestrator.errors import LumiflowError

Job = TypeVar("Job")
Result = TypeVar("Result")


def as_they_end(work: Callable[[Job], Result], jobs: Sequence[Job], processes: int) -> Generator[Result]:
    """Do jobs in so many processes (one: in this one), and give each result as it comes.

    What ends the wait, Ctrl-C or a job that fails, is raised after the results that have come until then. The jobs that
    are being done are given up, and their processes end at once; so they do when this process is killed. Close the
    generator (`contextlib.closing`) to end them where its results are used.

    Raises:
        LumiflowError: a process ended before its job did.
    """
    if processes == 1 or len(jobs) <= 1:
        yield from map(work, jobs)
        return
    context = get_context("spawn")  # forking a process that holds torch's threads may hang
    lifeline, held = context.Pipe(duplex=False)
    workers = ProcessPoolExecutor(
        min(processes, len(jobs)), mp_context=context, initializer=_begin, initargs=(lifeline, work)
    )
    waiting: set[Future[Any]] = set()
    try:
        with _interrupts_later():
            waiting = {workers.submit(_do, job) for job in jobs}
        while waiting:
            ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in sorted(ended, key=_failed):
                yield future.result()
    except GeneratorExit:
        held.close()
        raise
    except BaseException as error:
        yield from (future.result() for future in waiting if future.done() and not _failed(future))
        held.close()
        if isinstance(error, BrokenProcessPool):
            raise LumiflowError("a process ended before its job did: killed, or out of memory") from None
        raise
    finally:
        workers.shutdown(cancel_futures=True)
        held.close()


def _failed(future: Future[Any]) -> bool:
    return future.cancelled() or future.exception() is not None


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Ctrl-C comes after this block. A terminal sends it to the processes started inside too: they never see it."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_work: list[Callable[[Any], Any]] = []


def _begin(lifeline: Connection, work: Callable[[Any], Any]) -> None:
    _work.append(work)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_end_with, args=(lifeline,), daemon=True).start()


def _end_with(lifeline: Connection) -> None:
    """End this process, whatever it is doing, once nobody holds the other end: closed, or gone with its process."""
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


def _do(job: Any) -> Any:
    return _work[0](job)
