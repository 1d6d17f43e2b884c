"""The least that a guardian can guard: a process that holds one rig on real ports at work, and beats.

    python -m orchestrator.safety_test.holder NAME RIG.yaml [--temperature C] [--flow UL_MIN] [--also NAME ...]

SIGTERM: makes safe and ends with 0. SIGUSR1: blocks its control loop for ever, which is what it is for. When the
guardian is gone it makes safe and ends with 3. ``--paused`` is taken, as a guardian gives it, and means nothing here.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
from pathlib import Path

from orchestrator.clock.virtual_time import run_real
from orchestrator.config import load_rig
from orchestrator.guardian import Heart, keep_beating
from orchestrator.rig.build import steel_rig
from orchestrator.rig.rig import Rig, make_safe
from orchestrator.rig.tracing import Unrecorded, unreported

READ_PERIOD_S = 0.2
BOUND_S = 3600.0


async def _hold(options: argparse.Namespace) -> int:
    loop = asyncio.get_running_loop()
    over: asyncio.Future[int] = loop.create_future()
    heart = Heart.inherited()

    def end(code: int) -> None:
        if not over.done():
            over.set_result(code)

    def lost(why: str) -> None:
        loop.call_soon_threadsafe(end, 3)

    loop.add_signal_handler(signal.SIGTERM, end, 0)
    loop.add_signal_handler(signal.SIGUSR1, threading.Event().wait)
    heart.listen(lost)
    rig = steel_rig(load_rig(options.rig), Unrecorded())
    beating = []
    for name in (options.name, *options.also):
        heart.begin(name)
        beating.append(asyncio.ensure_future(keep_beating(heart, name)))
    for pump in rig.pumps.values():
        await pump.connect()
    await rig.heater.connect()
    if options.temperature is not None:
        await rig.heater.set_temperature(options.temperature)
    if options.flow is not None:
        await rig.flow({rig.config.plumbing.solvent_pump: options.flow}, BOUND_S)
    heart.ready()
    reading = asyncio.ensure_future(_read(rig))
    code = await over
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await make_safe(rig, unreported)
    await rig.close()
    for name in (options.name, *options.also):
        heart.end(name)
    for task in beating:
        task.cancel()
    return code


async def _read(rig: Rig) -> None:
    while True:
        await rig.heater.read()
        for pump in rig.pumps.values():
            await pump.status()
        await asyncio.sleep(READ_PERIOD_S)


def main() -> int:
    """Hold until told otherwise."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("rig", type=Path)
    parser.add_argument("--temperature", type=float, help="set-point, °C; the heater is left alone without it")
    parser.add_argument("--flow", type=float, help="of solvent, µL/min; pumps stand still without it")
    parser.add_argument("--also", nargs="*", default=(), help="more names to beat for")
    parser.add_argument("--paused", action="store_true")
    return run_real(_hold(parser.parse_args()))


if __name__ == "__main__":
    sys.stdout.flush()
    os._exit(main())
