"""Drills for the guardian: a process that holds the rig at work is killed, stopped and frozen, on real ports.

The guardian is the one that guards the daemon; what it guards here is the least that holds a rig (``holder``). Times
are the guardian's own journal's, counted from the moment before the signal was sent.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orchestrator.clock.virtual_time import UtcClock
from orchestrator.config import RigConfig, load_rig
from orchestrator.errors import JournalError
from orchestrator.guardian.__main__ import guardian_command, guardian_words
from orchestrator.guardian.diary import FILE
from orchestrator.journal.journal import Event, Journal
from orchestrator.rig.build import steel_rig
from orchestrator.rig.tracing import Unrecorded
from orchestrator.safety_test.drills import at_work
from orchestrator.safety_test.evidence import Evidence

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HEATERS_BAR_S: Final = 3.0
PUMPS_BAR_S: Final = 5.0
ALONE_BAR_S: Final = 10.0
_PATIENCE_S: Final = 90.0
_LOOK_S: Final = 0.1
_NAME: Final = "rig"


async def guardian_drills(rig_file: Path, *, heat: bool) -> list[Evidence]:
    """All of them on the ports that a rig file names; ``heat``: with the reactor warm, else only its pumps at work."""
    if os.name != "posix":
        return [Evidence("guardian", "", "", None, "left out", "the guardian needs POSIX processes")]
    config = load_rig(rig_file)
    ways = {
        "daemon killed": (signal.SIGKILL, "SIGKILL"),
        "daemon stopped": (signal.SIGSTOP, "SIGSTOP"),
        "loop frozen": (signal.SIGUSR1, "its control loop blocked for ever"),
    }
    found = [await _death(name, *way, rig_file, config, heat=heat) for name, way in ways.items()]
    return [*found, await _alone(rig_file, config, heat=heat)]


async def _death(
    name: str, kind: signal.Signals, done: str, rig_file: Path, config: RigConfig, *, heat: bool
) -> Evidence:
    """Have the holder die in one way, and read in the guardian's journal how soon it had the rig safe."""
    expected = f"heaters off within {HEATERS_BAR_S:g} s, pumps stopped within {PUMPS_BAR_S:g} s"

    def evidence(ok: bool, seen: str, after_s: float | None) -> Evidence:
        return Evidence(name, done, expected, PUMPS_BAR_S, "passed" if ok else "failed", seen, after_s)

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        async with _guarded(folder, rig_file, config, heat=heat) as guardian:
            ready = await _until(folder, "ready")
            if ready is None:
                return evidence(False, "the rig was never at work", None)
            harmed = UtcClock(asyncio.get_running_loop()).wall()
            os.kill(_pid(ready), kind)
            events = await _until(folder, "made_safe")
            if events is None:
                return evidence(False, f"not safe within {_PATIENCE_S:g} s", None)
            steps = [event for event in events if event.kind == "safe_step" and event.data["ok"]]
            off_s = _last_after(harmed, steps, [f"{config.plumbing.reactor.heater} off"])
            stopped_s = _last_after(harmed, steps, [f"{pump} stopped" for pump in config.pumps])
            well = next(bool(event.data["well"]) for event in events if event.kind == "made_safe")
            await asyncio.wait_for(guardian.wait(), _PATIENCE_S)
            output = await _output(config)
    if off_s is None or stopped_s is None:
        return evidence(False, "the guardian did not reach all devices", None)
    seen = f"heaters off after {off_s:.2f} s, pumps stopped after {stopped_s:.2f} s"
    in_time = off_s <= HEATERS_BAR_S and stopped_s <= PUMPS_BAR_S
    return evidence(in_time and well and output <= 0.0, seen, round(stopped_s, 2))


async def _alone(rig_file: Path, config: RigConfig, *, heat: bool) -> Evidence:
    """Kill the guardian: whoever holds the rig notices and makes it safe alone."""
    expected = f"no heater power within {ALONE_BAR_S:g} s"
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        async with _guarded(folder, rig_file, config, heat=heat) as guardian:
            if await _until(folder, "ready") is None:
                return Evidence("guardian killed", "SIGKILL", expected, ALONE_BAR_S, "failed", "never at work")
            guardian.kill()
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            off = False
            while not off and loop.time() - began_s < ALONE_BAR_S:
                await asyncio.sleep(_LOOK_S)
                off = await _output(config) <= 0.0
            after_s = round(loop.time() - began_s, 2)
    if not off:
        return Evidence("guardian killed", "SIGKILL", expected, ALONE_BAR_S, "failed", "the heater is still on")
    seen = "the rig was made safe without it"
    return Evidence("guardian killed", "SIGKILL", expected, ALONE_BAR_S, "passed", seen, after_s)


@asynccontextmanager
async def _guarded(
    folder: Path, rig_file: Path, config: RigConfig, *, heat: bool
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A guardian over a holder that has the rig at work. It does not start the holder again."""
    flow, temperature_c = at_work(config)
    warm = ["--temperature", f"{temperature_c}"] if heat else []
    module = [sys.executable, "-m", "orchestrator.safety_test.holder"]
    holder = [*module, _NAME, str(rig_file), "--flow", f"{flow:g}", *warm]
    command = guardian_command(guardian_words(folder, {_NAME: rig_file}, holder, restarts=0))
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            await asyncio.wait_for(process.wait(), _PATIENCE_S)


async def _until(folder: Path, kind: str) -> Sequence[Event] | None:
    """The guardian's journal once it says so; None when it does not in time."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + _PATIENCE_S
    while loop.time() < until_s:
        try:
            with Journal.open(folder / FILE, readonly=True) as journal:
                events = tuple(journal.events())
        except JournalError:
            events = ()  # not there yet
        if any(event.kind == kind for event in events):
            return events
        await asyncio.sleep(_LOOK_S)
    return None


def _pid(events: Sequence[Event]) -> int:
    return int(next(event.data["pid"] for event in events if event.kind == "daemon_started"))


def _last_after(since: datetime, steps: Sequence[Event], wanted: Sequence[str]) -> float | None:
    """Seconds until the last of the wanted steps was done; None where one is missing."""
    times: Mapping[str, datetime] = {event.data["step"]: datetime.fromisoformat(event.utc) for event in steps}
    if not all(step in times for step in wanted):
        return None
    return max((times[step].astimezone(UTC) - since).total_seconds() for step in wanted)


async def _output(config: RigConfig) -> float:
    """What the heater gives, read without changing anything; all it has where it cannot be read."""
    rig = steel_rig(config, Unrecorded())
    try:
        await rig.heater.connect()
        return (await rig.heater.read()).output_fraction
    except Exception:  # noqa: BLE001 - its port may still be in somebody's hand
        return 1.0
    finally:
        await rig.heater.close()
