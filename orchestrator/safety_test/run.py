"""``lumiflow safety-test``: all drills of a rig, one after the other, on its twins or on the real devices."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from orchestrator.clock.virtual_time import blocking_clock, run_real, run_virtual
from orchestrator.config import RigConfig, load_rig
from orchestrator.console.interrupts import interrupted_by, never_suspended
from orchestrator.console.outlet import tell
from orchestrator.errors import EXIT_FAULT, EXIT_TARGET_REACHED, EXIT_WITHOUT_TARGET, LumiflowError, RigFault
from orchestrator.rig.build import assemble_rig, steel_rig
from orchestrator.rig.rig import Rig
from orchestrator.rig.tracing import Unrecorded
from orchestrator.safety_test.drills import Drill, drills, play
from orchestrator.safety_test.evidence import Evidence, Kept
from orchestrator.safety_test.guardian_drills import guardian_drills

_PATIENCE_S: Final = 60.0

T = TypeVar("T")

Tell = Callable[[Evidence], None]
Ask = Callable[[str], bool]


class DrillsEnded(LumiflowError):  # noqa: N818 - what happened
    """Somebody asked for an end before the last drill; what held the rig has made it safe."""

    exit_code = EXIT_WITHOUT_TARGET


@dataclass(frozen=True)
class SafetyTest:
    """What was shown, and where it is kept."""

    evidence: tuple[Evidence, ...]
    journal: Path

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(one.outcome != "failed" for one in self.evidence)

    @property
    def exit_code(self) -> int:
        """See ``orchestrator.errors``."""
        return EXIT_TARGET_REACHED if self.passed else EXIT_FAULT


def run_safety_test(
    rig_file: Path, folder: Path, tell: Tell, *, ask: Ask | None = None, guardian: bool = True
) -> SafetyTest:
    """Do every drill that fits; on the real devices where ``ask`` is given, which a person answers before each heats.

    ``tell`` hears of each drill as it is done; all of it is kept in a journal in ``folder``. Raises LumiflowError for a
    rig file or folder that cannot be used, and DrillsEnded when a signal asks for an end in the middle of a drill.
    """
    config = load_rig(rig_file)
    text = rig_file.read_text("utf-8")
    header = {"rig": config.name, "hardware": ask is not None, "rig_sha256": hashlib.sha256(text.encode()).hexdigest()}
    kept = Kept(folder, {**header, "rig_text": text})
    found: list[Evidence] = []

    def note(evidence: Evidence) -> None:
        found.append(evidence)
        kept.keep(evidence)
        tell(evidence)

    if ask is None:
        for drill in run_virtual(_on_twins(config, _listed)):
            note(run_virtual(_on_twins(config, partial(play, drill))))
        if guardian:
            for evidence in run_real(_guardian_on_twins(rig_file)):
                note(evidence)
    else:
        for drill in run_real(_on_steel(config, _listed)):
            question = f"{drill.name}: {drill.done}. This heats the reactor under a flow of solvent. Do it?"
            if drill.heats and not ask(question):
                note(drill.left_out("not wanted by the person who was asked"))
            else:
                note(run_real(_on_steel(config, partial(play, drill))))
        if guardian:
            heat = ask("The guardian's drills: heat the reactor for them? Without, they run with pumps alone.")
            for evidence in run_real(safely_ended(guardian_drills(rig_file, heat=heat))):
                note(evidence)
    test = SafetyTest(tuple(found), kept.path)
    kept.end(test.passed)
    return test


async def _listed(rig: Rig) -> tuple[Drill, ...]:
    return drills(rig)


async def safely_ended(drill: Coroutine[Any, Any, T]) -> T:
    """Carry out what holds a rig. Who asks the program to end, cancels it: it makes its rig safe on its way out.

    Asking again does not break into that, and Ctrl-Z stops none of it. Raises DrillsEnded.
    """
    task = asyncio.ensure_future(drill)
    asked = False

    def end() -> None:
        nonlocal asked
        if not asked:
            asked = True
            task.cancel()

    loop = asyncio.get_running_loop()
    with interrupted_by(loop, end), never_suspended(loop, tell):
        try:
            return await task
        except asyncio.CancelledError:
            if not asked:
                raise
            raise DrillsEnded("ended in the middle of a drill; the rig went through its safe sequence") from None


async def _on_twins(config: RigConfig, act: Callable[[Rig], Coroutine[Any, Any, T]]) -> T:
    """With a fresh rig of twins, on which nothing is wrong yet."""
    loop = asyncio.get_running_loop()
    sound = config.model_copy(update={"twin": config.twin.model_copy(update={"faults": ()})})
    rig = assemble_rig(sound, Unrecorded(), hardware=False, clock=blocking_clock(loop), start_s=loop.time())
    return await safely_ended(act(rig))


async def _on_steel(config: RigConfig, act: Callable[[Rig], Coroutine[Any, Any, T]]) -> T:
    return await safely_ended(act(steel_rig(config, Unrecorded())))


async def _guardian_on_twins(rig_file: Path) -> list[Evidence]:
    with tempfile.TemporaryDirectory() as folder:
        async with _served(rig_file, Path(folder)) as served:
            return await safely_ended(guardian_drills(served, heat=True))


@asynccontextmanager
async def _served(rig_file: Path, folder: Path) -> AsyncIterator[Path]:
    """The rig's twins served on loopback ports by a process of their own, and the rig file that names these."""
    written = folder / "served.yaml"
    code = "from orchestrator.cli import main; main()"
    words = ["twin", "serve", str(rig_file), "--json", "--no-pty", "--write-rig", str(written)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C at the terminal must not take the rig away before it is made safe
    )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), _PATIENCE_S)
        if not line:
            raise RigFault(f"the twins of {rig_file} cannot be served")
        yield written
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
            await asyncio.wait_for(process.wait(), _PATIENCE_S)
