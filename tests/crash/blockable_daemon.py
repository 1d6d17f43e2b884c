"""The daemon, with one thing more: on SIGUSR1 it blocks the control loops of its rigs for ever.

python -m tests.crash.blockable_daemon DAEMON.yaml [--paused]
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading

from orchestrator.daemon import __main__ as daemon
from orchestrator.daemon import steel
from orchestrator.guardian import Heart, keep_beating

_loops: list[asyncio.AbstractEventLoop] = []


async def _beating(heart: Heart, rig: str) -> None:
    """The true beat, of a loop that is remembered."""
    _loops.append(asyncio.get_running_loop())
    await keep_beating(heart, rig)


def _block(number: int, frame: object) -> None:
    for loop in _loops:
        loop.call_soon_threadsafe(threading.Event().wait)


if __name__ == "__main__":
    setattr(steel, "keep_beating", _beating)  # noqa: B010 - a name that the module imports and does not export
    signal.signal(signal.SIGUSR1, _block)
    sys.exit(daemon.main())
