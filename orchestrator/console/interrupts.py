"""What asks a program to end (Ctrl-C, a polite kill, a terminal that is gone) as a call in the loop; and what would
stop it in its tracks (Ctrl-Z) while it holds a rig."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_Handler = Callable[[int, Any], object] | signal.Handlers
_NAMES = ("SIGINT", "SIGTERM", "SIGQUIT", "SIGBREAK")
ASKING = tuple(signal.Signals[name] for name in _NAMES if hasattr(signal, name))
"""What asks a program to end on this system, by hand or by a service manager."""
_HANGS_UP = "SIGHUP"
NOT_SUSPENDED = "Ctrl-Z is ignored: the rig would stay hot with nobody to watch it. Ctrl-C ends in its safe state"


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

    handlers: dict[signal.Signals, _Handler] = dict.fromkeys(ASKING, heard)
    if hasattr(signal, _HANGS_UP) and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        handlers[signal.SIGHUP] = lost
    with _handled(handlers):
        yield


@contextmanager
def never_suspended(loop: asyncio.AbstractEventLoop, say: Callable[[str], None]) -> Iterator[None]:
    """The terminal does not stop the program: one that is stopped watches no interlock and ends no heating.

    ``say`` hears of the first Ctrl-Z. In the background, where some terminals stop whoever writes to them, the program
    writes all the same. Outside the main thread, nothing is changed. SIGSTOP is beyond anybody.
    """
    told = False

    def asked(signum: int, frame: object) -> None:
        nonlocal told
        if not told:
            told = True
            loop.call_soon_threadsafe(say, NOT_SUSPENDED)

    # Ignored, not handled: a write that a handler interrupts begins anew, for ever.
    wanted: dict[str, _Handler] = {"SIGTSTP": asked, "SIGTTOU": signal.SIG_IGN}
    with _handled({getattr(signal, name): handler for name, handler in wanted.items() if hasattr(signal, name)}):
        yield


@contextmanager
def _handled(handlers: Mapping[signal.Signals, _Handler]) -> Iterator[None]:
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
