"""Ctrl-C and a polite kill as a call in the loop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def interrupted_by(loop: asyncio.AbstractEventLoop, act: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM call ``act`` instead of ending the program. Outside the main thread, nothing is changed."""

    def heard(signum: int, frame: object) -> None:
        loop.call_soon_threadsafe(act)

    kinds = [signal.SIGINT, signal.SIGTERM]
    try:
        before = {kind: signal.signal(kind, heard) for kind in kinds}
    except ValueError:  # whoever runs us in another thread has its own way of stopping
        yield
        return
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
