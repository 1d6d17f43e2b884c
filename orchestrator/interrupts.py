"""What asks a program to end (Ctrl-C, a polite kill, a terminal that is gone) as a call in the loop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_ASKS = ("SIGINT", "SIGTERM", "SIGQUIT", "SIGBREAK")
_HANGS_UP = "SIGHUP"


@contextmanager
def interrupted_by(
    loop: asyncio.AbstractEventLoop, act: Callable[[], None], *, hung_up: Callable[[], None] | None = None
) -> Iterator[None]:
    """Whatever asks the program to end calls ``act`` instead, each time that it asks, of the signals that there are.

    A terminal that is closed or lost sends SIGHUP, often twice, and nobody is in a hurry by that: it calls ``hung_up``,
    or ``act`` where nothing has asked before. A program that was started to outlive its terminal (``nohup``) goes on.
    Outside the main thread, nothing is changed.
    """
    asked = False

    def heard(signum: int, frame: object) -> None:
        nonlocal asked
        asked = True
        loop.call_soon_threadsafe(act)

    def lost(signum: int, frame: object) -> None:
        if hung_up is not None:
            loop.call_soon_threadsafe(hung_up)
        elif not asked:
            heard(signum, frame)

    handlers = {getattr(signal, name): heard for name in _ASKS if hasattr(signal, name)}
    if hasattr(signal, _HANGS_UP) and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        handlers[signal.SIGHUP] = lost
    try:
        before = {kind: signal.signal(kind, handler) for kind, handler in handlers.items()}
    except ValueError:  # whoever runs us in another thread has its own way of stopping
        yield
        return
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
