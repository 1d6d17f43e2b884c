"""The least that a guardian can guard: holds one rig on real ports, heats, pumps and beats.

    python -m tests.crash.stand_in_daemon NAME RIG.yaml

SIGTERM: makes safe and ends with 0. SIGUSR1: blocks its control loop for ever. When the guardian is gone: makes safe
and ends with 3.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path

from orchestrator.build import steel_rig
from orchestrator.config import load_rig
from orchestrator.guardian import Heart, keep_beating
from orchestrator.guardian.rescue import Unrecorded
from orchestrator.rig import make_safe
from orchestrator.virtual_time import run_real

FLOWS = {"cs": 80.0, "pb": 120.0, "solvent": 200.0}


async def _quiet(step: str, ok: bool, detail: str) -> None:
    """Nobody listens."""


async def _hold(name: str, path: Path) -> int:
    loop = asyncio.get_running_loop()
    over: asyncio.Future[int] = loop.create_future()
    heart = Heart.inherited()

    def end(code: int) -> None:
        if not over.done():
            over.set_result(code)

    loop.add_signal_handler(signal.SIGTERM, end, 0)
    loop.add_signal_handler(signal.SIGUSR1, threading.Event().wait)
    heart.listen(lambda why: loop.call_soon_threadsafe(end, 3))
    rig = steel_rig(load_rig(path), Unrecorded())
    heart.begin(name)
    beating = asyncio.ensure_future(keep_beating(heart, name))
    for pump in rig.pumps.values():
        await pump.connect()
    await rig.heater.connect()
    await rig.heater.set_temperature(120.0)
    await rig.flow(FLOWS, 3600.0)
    heart.ready()
    reading = asyncio.ensure_future(_read(rig))
    code = await over
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await make_safe(rig, _quiet)
    await rig.close()
    heart.end(name)
    beating.cancel()
    return code


async def _read(rig) -> None:  # type: ignore[no-untyped-def]
    while True:
        await rig.heater.read()
        for pump in rig.pumps.values():
            await pump.status()
        await asyncio.sleep(0.2)


if __name__ == "__main__":
    os._exit(run_real(_hold(sys.argv[1], Path(sys.argv[2]))))
