"""A daemon of one rig without its rig: it answers commands truthfully, journals nothing, and has one finished run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import httpx

from orchestrator.daemon.commands import Actor, Command, Outcome
from orchestrator.daemon.config import HttpConfig
from orchestrator.daemon.facade import DaemonState, JobState, ReadingState, RigState, RunDetail, RunInfo, SyringeState
from orchestrator.daemon.feed import Feed
from orchestrator.daemon.http.api import Api
from orchestrator.daemon.http.app import make_app
from orchestrator.daemon.http.connections import Connections
from orchestrator.daemon.http.server import HttpServer
from orchestrator.daemon.http.tokens import Token, TokenBook
from orchestrator.errors import JournalError, NotBegun, UnknownRun
from orchestrator.history.fold import fold
from orchestrator.journal.journal import Journal
from tests.orchestrator.journals import write_run
from tests.orchestrator.rehearsal import CONFIGS

UTC = "2026-01-02T03:04:05Z"
RUN = "green-0001"
WRITE = "w" * 40
READ = "r" * 40
RIG_TEXT = (CONFIGS / "rigs" / "perovskite-bench.yaml").read_text()
CAMPAIGN_TEXT = (CONFIGS / "campaigns" / "quickstart.yaml").read_text()


class Pretend:
    """Implements `Conductor`. To be made outside of a loop, for it writes a journal in virtual time."""

    def __init__(self, folder: Path) -> None:
        self.feed = Feed()
        self.boot_id = "b00t"
        self.heard: list[tuple[Actor, Command]] = []
        self.queue: tuple[JobState, ...] = ()
        self.paused = False
        self.full_disk = False
        self._journals = {RUN: folder / f"{RUN}.sqlite"}
        self._journals[RUN].write_bytes(_journal())

    def keep(self, run: str, journal: Path) -> None:
        """One run more."""
        self._journals[run] = journal

    async def state(self) -> DaemonState:
        values = {"temperature_c": 22.5, "output_fraction": float("nan")}
        heater = ReadingState(values=values, t_s=4.0, utc=UTC, age_s=0.1, quality="good")
        rig = RigState(
            state="paused" if self.paused else "idle",
            detail="",
            mode="twin",
            job=None,
            campaign=None,
            experiment=None,
            told=0,
            best_error_mev=None,
            trip=None,
            devices={"heater": heater},
            syringes={"cs": SyringeState(stock="cs_oleate", volume_ul=10_000.0, left_ul=9_000.0)},
            queue=self.queue,
            t_s=4.0,
        )
        return DaemonState(boot_id=self.boot_id, version="0", started_utc=UTC, utc=UTC, rigs={"bench": rig})

    async def command(self, actor: Actor, command: Command) -> Outcome:
        if self.full_disk:
            raise JournalError("the disk is full")
        self.heard.append((actor, command))
        self.feed.publish(command.rig, "command", {"verb": command.verb, "actor": actor.name}, t_s=4.0, utc=UTC)
        if command.rig != "bench":
            return Outcome(accepted=False, detail=f"there is no rig {command.rig!r}")
        if command.verb == "submit":
            place = len(self.queue) + 1
            job = f"job-{place}"
            self.queue += (JobState(job=job, campaign=command.file, place=place, submitted_utc=UTC, by=actor.name),)
            return Outcome(accepted=True, detail="queued", job=job)
        if command.verb == "pause":
            was, self.paused = self.paused, True
            return Outcome(accepted=not was, detail="it is paused already" if was else "paused")
        if command.verb == "resume":
            was, self.paused = self.paused, False
            return Outcome(accepted=was, detail="resumed" if was else "nothing is paused")
        return Outcome(accepted=False, detail="nothing runs")

    async def runs(self) -> tuple[RunInfo, ...]:
        waiting = [self._info(job.job, "queued") for job in self.queue]
        return (*waiting, *(self._info(run, "ended") for run in self._journals))

    async def run(self, run_id: str) -> RunDetail:
        with Journal.open(self.journal_path(run_id), readonly=True) as journal:
            state = fold(journal.events())
            return RunDetail(
                info=self._info(run_id, "ended"),
                header=dict(state.header),
                experiments=tuple({"n": experiment.n} for experiment in state.experiments),
                recommendation=None,
                trips=(),
                events=journal.seq,
                head=journal.head,
            )

    def journal_path(self, run_id: str) -> Path:
        if any(job.job == run_id for job in self.queue):
            raise NotBegun(f"run {run_id!r} waits")
        if run_id not in self._journals:
            raise UnknownRun(f"there is no run {run_id!r}")
        return self._journals[run_id]

    def _info(self, run: str, phase: str) -> RunInfo:
        return RunInfo.model_validate(
            {"run": run, "rig": "bench", "campaign": run, "phase": phase, "began_utc": UTC, "detail": "", "summary": {}}
        )


@cache
def _journal() -> bytes:
    """The file of one finished run."""
    with TemporaryDirectory() as folder:
        write_run(Path(folder) / "run.sqlite")
        return (Path(folder) / "run.sqlite").read_bytes()


def tokens() -> TokenBook:
    return TokenBook([Token.of("operator", "write", WRITE), Token.of("wall", "read", READ)])


def server_for(conductor: Pretend, connections: Connections | None = None) -> HttpServer:
    config = HttpConfig.model_validate({"port": 0})
    return HttpServer(conductor, config, tokens(), {"bench": RIG_TEXT}, connections=connections)


def description() -> dict[str, Any]:
    """What the API says of itself."""
    return make_app(Api(cast(Pretend, None), {}), "0").openapi()


@asynccontextmanager
async def serving(
    conductor: Pretend, connections: Connections | None = None
) -> AsyncIterator[tuple[HttpServer, httpx.AsyncClient]]:
    """A server on a port of its own, and a client with the operator's token."""
    server = server_for(conductor, connections)
    await server.start()
    headers = {"authorization": f"Bearer {WRITE}"}
    try:
        async with httpx.AsyncClient(base_url=server.url, headers=headers, verify=False, timeout=120.0) as client:
            yield server, client
    finally:
        await server.stop()
