"""The daemon: its rigs, and the one face that every interface speaks to."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

from orchestrator.clock.virtual_time import UtcClock, run_real
from orchestrator.config.messages import closest
from orchestrator.daemon.bench import Bench, MakeDecider, MakeInterlocks, TwinBench
from orchestrator.daemon.commands import Actor, Command, Outcome
from orchestrator.daemon.config import LoadedDaemon
from orchestrator.daemon.ears import Ears
from orchestrator.daemon.facade import DaemonState, RunDetail, RunInfo
from orchestrator.daemon.feed import Feed
from orchestrator.daemon.portrait import rig_state
from orchestrator.daemon.present import Place
from orchestrator.daemon.runs import Shelf
from orchestrator.daemon.station import Station
from orchestrator.daemon.verbs import carry_out
from orchestrator.errors import JournalError, NotBegun, UnknownRun, UsageRefused, in_words
from orchestrator.guardian import Heart
from orchestrator.guardian.diary import FILE, Rescue, rescues
from orchestrator.origin import installed_version

_log = logging.getLogger("lumiflow.daemon")

_RUN = re.compile(r"[A-Za-z0-9_][\w.-]{0,119}")


class Daemon:
    """Implements `orchestrator.daemon.facade.Conductor`. Make and use it in one real loop.

    ``heart``: the line to the guardian. ``decider``: who answers for the planner; None plans in a thread of the
    daemon. ``watch``: makes the interlocks of twins; None makes the usual ones. Raises JournalError at construction
    when a rig's journal cannot be opened, JournalLocked when another daemon has it, UsageRefused for a folder of runs
    that cannot be made.
    """

    def __init__(
        self,
        loaded: LoadedDaemon,
        *,
        heart: Heart | None = None,
        decider: MakeDecider | None = None,
        watch: MakeInterlocks | None = None,
    ) -> None:
        self.feed = Feed()
        self.boot_id = secrets.token_hex(8)
        self.version = installed_version("lumiflow")
        self.loaded = loaded
        self._clock = UtcClock(asyncio.get_running_loop())
        self._started_utc = self._now()[1]
        self._heart = heart or Heart(None)
        self._decider = decider
        self._watch = watch
        self._closed = False
        self._named: set[str] = set()
        try:
            loaded.runs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageRefused(f"runs: the folder of journals cannot be made: {in_words(error)}") from error
        self.stations: dict[str, Station] = {}
        try:
            for name in loaded.rigs:
                self.stations[name] = self._station(name)
            damaged = [station.damaged for station in self.stations.values() if station.damaged is not None]
            if len(damaged) == len(self.stations):
                raise damaged[0]  # none of them could work
        except BaseException:
            for station in self.stations.values():
                station.let_go()
            raise
        self._shelf = Shelf(loaded.runs, self.stations)

    async def start(self, *, paused: bool = False) -> None:
        """Take up every rig where its journal stands; ``paused``: nothing begins until a person says so."""
        rescued = await asyncio.get_running_loop().run_in_executor(None, self._rescues)
        for name, station in self.stations.items():
            mine = tuple(rescue for rescue in rescued if rescue.rig == name)
            await station.start(self.boot_id, self.version, paused=paused, rescues=mine)
        _log.info("daemon %s is up with %s", self.boot_id, ", ".join(self.stations))

    async def close(self) -> None:
        """Leave every rig safe, and what runs to be resumed. Ends when all have let go."""
        self._closed = True
        await asyncio.gather(*(station.close() for station in self.stations.values()))
        _log.info("daemon %s is down", self.boot_id)

    def hurry(self) -> None:
        """The end is asked for again: without flushes."""
        for station in self.stations.values():
            station.hurry()

    # -- Conductor ------------------------------------------------------------------------------------------------

    async def state(self) -> DaemonState:
        """See `Conductor`."""
        return DaemonState(
            boot_id=self.boot_id,
            version=self.version,
            started_utc=self._started_utc,
            utc=self._now()[1],
            rigs={name: rig_state(station, self._clock) for name, station in self.stations.items()},
        )

    async def command(self, actor: Actor, command: Command) -> Outcome:
        """See `Conductor`."""
        station = self.stations.get(command.rig)
        if station is None:
            near = closest(command.rig, self.stations)
            words = f"there is no rig {command.rig}" + (f"; did you mean {near}?" if near else "")
            _log.warning("%s: %s (%s)", command.verb, words, actor.name)
            return Outcome(accepted=False, detail=words)
        outcome = await carry_out(station, actor, command)
        _log.info(
            "%s: %s by %s: %s",
            command.rig,
            command.verb,
            actor.name,
            outcome.detail,
            extra={"rig": command.rig, "actor": asdict(actor), "verb": command.verb, "accepted": outcome.accepted},
        )
        return outcome

    async def runs(self) -> tuple[RunInfo, ...]:
        """See `Conductor`."""
        return await self._shelf.runs()

    async def run(self, run_id: str) -> RunDetail:
        """See `Conductor`."""
        return await self._shelf.run(run_id, self.journal_path(run_id))

    def journal_path(self, run_id: str) -> Path:
        """See `Conductor`."""
        path = self.loaded.runs / f"{run_id}.sqlite"
        if _RUN.fullmatch(run_id) is not None and path.is_file():
            return path
        for station in self.stations.values():
            if station.ledger.queued(run_id) is not None:
                raise NotBegun(f"run {run_id!r} waits in the queue of {station.place.name}: it has no journal yet")
            if run_id in station.ledger.cancelled:
                raise NotBegun(f"run {run_id!r} was taken out of the queue before it began: it has no journal")
            if run_id in station.ledger.jobs:
                raise NotBegun(f"of run {run_id!r} there is no record")
        raise UnknownRun(f"there is no run {run_id!r}")

    # -- small things -----------------------------------------------------------------------------------------------

    def _rescues(self) -> tuple[Rescue, ...]:
        """What the guardian has done while no daemon was there to see it."""
        path = self.loaded.guardian_folder / FILE
        try:
            return rescues(path)
        except JournalError as error:
            _log.error("what the guardian has flushed is not known, the syringes may hold less: %s", error)
            return ()

    def _station(self, name: str) -> Station:
        config = self.loaded.config.rigs[name]
        place = Place(
            name=name,
            rig=self.loaded.rigs[name],
            text=self.loaded.rig_texts[name],
            file=self.loaded.rig_paths[name],
            runs=self.loaded.runs,
            journal=self.loaded.rig_journal(name),
            hardware=config.hardware,
            queue=config.queue,
        )

        def bench(ears: Ears) -> Bench:
            if config.hardware:
                from orchestrator.daemon.steel import SteelBench
                from orchestrator.rig.build import steel_rig

                build, run = partial(steel_rig, place.rig), partial(run_real, pace=place.rig.pace)
                return SteelBench(name, build, ears, self._heart, decider=self._decider, run=run)
            return TwinBench(name, ears, speed=config.speed, decider=self._decider, watch=self._watch)

        return Station(place, self.feed, bench, self._next_id, self._now)

    def _next_id(self, campaign: str) -> str:
        """A run's name that no run and no job has had: the campaign's, and a number.

        A name is taken once it was given: two rigs may ask before either has written its submission down.
        """
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", campaign).strip(".-")[:80] or "campaign"
        taken = {path.stem for path in self.loaded.runs.glob("*.sqlite")} | self._named
        for station in self.stations.values():
            taken.update(station.ledger.jobs)
        numbers = [int(match[1]) for name in taken if (match := re.fullmatch(rf"{re.escape(stem)}-(\d{{4,}})", name))]
        name = f"{stem}-{max(numbers, default=0) + 1:04d}"
        self._named.add(name)
        return name

    def _now(self) -> tuple[float, str]:
        t_s = self._clock.t_s()
        return t_s, self._clock.at(t_s).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def inherited_heart(environ: Mapping[str, str] = os.environ) -> Heart:
    """The line to the guardian that started this process, if one did."""
    return Heart.inherited(environ)
