"""A daemon on twins at a test's hands: its folder, its commands, and waiting for what it comes to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.clock.virtual_time import run_real
from orchestrator.daemon.commands import COMMAND, Actor, Outcome
from orchestrator.daemon.config import load_daemon
from orchestrator.daemon.facade import RigState
from orchestrator.daemon.feed import Notice
from orchestrator.daemon.service import Daemon
from orchestrator.daemon.station import Station
from orchestrator.history.fold import fold
from orchestrator.history.run_state import RunState
from orchestrator.journal.journal import Journal
from tests.orchestrator.rehearsal import CONFIGS

PATIENCE_S = 120.0
ADA = Actor("ada", "cli")


def campaign_text(experiments: int = 2, **edits: str) -> str:
    text = (CONFIGS / "campaigns" / "quickstart.yaml").read_text()
    wanted = {
        "experiments: 25": f"experiments: {experiments}",
        "initial: 8": f"initial: {min(experiments, 2)}",
        "strategy: ensemble": "strategy: sobol",
        **edits,
    }
    for old, new in wanted.items():
        assert old in text, old
        text = text.replace(old, new)
    return text


def daemon_file(folder: Path, *rigs: str, rig_edits: dict[str, str] | None = None) -> Path:
    text = (CONFIGS / "rigs" / "perovskite-bench.yaml").read_text()
    for old, new in (rig_edits or {}).items():
        assert old in text, old
        text = text.replace(old, new)
    (folder / "rig.yaml").write_text(text)
    path = folder / "daemon.yaml"
    names = "".join(f"  {name}: {{file: rig.yaml}}\n" for name in rigs or ("bench",))
    path.write_text(f"kind: daemon\nrigs:\n{names}")
    return path


def run_of(folder: Path, job: str) -> RunState:
    with Journal.open(folder / "runs" / f"{job}.sqlite", readonly=True) as journal:
        return fold(journal.events())


class Desk:
    """One life of a daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.notices = daemon.feed.subscribe(bound=100_000)

    async def ask(self, verb: str, rig: str = "bench", *, by: Actor = ADA, **more: Any) -> Outcome:
        return await self.daemon.command(by, COMMAND.validate_python({"verb": verb, "rig": rig, **more}))

    async def submit(self, experiments: int = 2, rig: str = "bench", **edits: str) -> str:
        outcome = await self.ask("submit", rig, campaign=campaign_text(experiments, **edits))
        assert outcome.accepted and outcome.job, outcome.detail
        return outcome.job

    async def rig(self, name: str = "bench") -> RigState:
        return (await self.daemon.state()).rigs[name]

    async def left_ul(self, pump: str, rig: str = "bench", *, until: str = "") -> float:
        """What is left in a syringe, now or when the rig has come to a state."""
        state = await self.until(until, rig=rig) if until else await self.rig(rig)
        left_ul = state.syringes[pump].left_ul
        assert left_ul is not None
        return left_ul

    async def until(self, *states: str, rig: str = "bench") -> RigState:
        """Wait until the rig is in one of these states."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = await self.rig(rig)
                if found.state in states:
                    return found
                await asyncio.sleep(0.005)

    async def hear(self, matches: Callable[[Notice], bool]) -> Notice:
        """Wait for a notice."""
        async with asyncio.timeout(PATIENCE_S):
            async for notice in self.notices:
                if matches(notice):
                    return notice
        raise AssertionError("the feed has ended")

    async def event(self, kind: str, n: int | None = None) -> Notice:
        """Wait for an event of a campaign."""
        return await self.hear(
            lambda notice: (
                notice.topic == "event"
                and notice.data["kind"] == kind
                and (n is None or notice.data["data"].get("n") == n)
            )
        )


def life(path: Path, story: Callable[[Desk], Awaitable[None]], *, paused: bool = False) -> None:
    """One life of the daemon of a file, with a story, brought to its end."""

    async def live() -> None:
        daemon = Daemon(load_daemon(path))
        desk = Desk(daemon)
        await daemon.start(paused=paused)
        try:
            await story(desk)
        finally:
            await daemon.close()

    run_real(live())


def killed(monkeypatch: pytest.MonkeyPatch, *verbs: str) -> pytest.MonkeyPatch:
    """A daemon that dies before the rig's journal says this."""

    async def unwritten(*_: object, **__: object) -> None:
        """Nothing."""

    for verb in verbs:
        monkeypatch.setattr(Station, verb, unwritten)
    return monkeypatch
