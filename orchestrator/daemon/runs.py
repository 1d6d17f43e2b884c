"""Every run that the daemon knows of, read from journals and kept for as long as these do not change."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.campaign.header import brief
from orchestrator.campaign.standing import bests
from orchestrator.daemon.facade import RunDetail, RunInfo, RunPhase
from orchestrator.errors import JournalError, NotBegun
from orchestrator.history.fold import advance
from orchestrator.history.run_state import RunState
from orchestrator.history.summary import summary
from orchestrator.journal.journal import Journal

if TYPE_CHECKING:
    from orchestrator.daemon.ledger import Job
    from orchestrator.daemon.station import Station

_Key = tuple[str, int, int]


class Shelf:
    """The folder of runs. What has ended is read once."""

    def __init__(self, folder: Path, stations: Mapping[str, Station]) -> None:
        self._folder = folder
        self._stations = stations
        self._kept: dict[_Key, RunInfo] = {}
        self._reading = asyncio.Lock()

    async def runs(self) -> tuple[RunInfo, ...]:
        """Every run and every queued campaign, newest first."""
        async with self._reading:
            return await asyncio.get_running_loop().run_in_executor(None, self._all, self._jobs())

    async def run(self, run_id: str, path: Path) -> RunDetail:
        """One run with all that its journal tells. Raises JournalError, and NotBegun where it holds nothing yet."""
        jobs = self._jobs()
        return await asyncio.get_running_loop().run_in_executor(None, self._detail, run_id, path, jobs)

    def _jobs(self) -> dict[str, tuple[str, Job, RunPhase, RunState | None]]:
        """Job to its rig, itself, how far it has come, and its state where that is at hand."""
        found: dict[str, tuple[str, Job, RunPhase, RunState | None]] = {}
        for name, station in self._stations.items():
            ledger = station.ledger
            for job in ledger.jobs.values():
                phase: RunPhase = "ended"
                run: RunState | None = None
                if station.present is not None and station.present.job == job.job:
                    phase = "running" if station.sits else "interrupted"
                    run = None if station.unread else station.run
                elif ledger.queued(job.job) is not None:
                    phase = "queued"
                elif job.job in ledger.cancelled:
                    phase = "cancelled"
                found[job.job] = (name, job, phase, run)
        return found

    def _all(self, jobs: Mapping[str, tuple[str, Job, RunPhase, RunState | None]]) -> tuple[RunInfo, ...]:
        infos: list[RunInfo] = []
        kept: dict[_Key, RunInfo] = {}
        paths = {path.stem: path for path in self._folder.glob("*.sqlite")}
        for name, (rig, job, phase, run) in jobs.items():
            if phase in ("queued", "cancelled") or name not in paths:
                infos.append(_unbegun(rig, job, phase))
            elif run is not None:
                infos.append(_info(name, rig, run, phase, job.submitted_utc))
        for name, path in paths.items():
            entry = jobs.get(name)
            if entry is not None and entry[3] is not None:
                continue
            facts = path.stat()
            key = (name, facts.st_mtime_ns, facts.st_size)
            info = self._kept.get(key) or self._read(name, path, entry)
            kept[key] = info
            infos.append(info)
        self._kept = kept
        return tuple(sorted(infos, key=lambda info: (info.began_utc or "9", info.run), reverse=True))

    def _read(self, name: str, path: Path, entry: tuple[str, Job, RunPhase, RunState | None] | None) -> RunInfo:
        rig = None if entry is None else entry[0]
        try:
            folded = _folded(path)
        except JournalError as error:
            return RunInfo(
                run=name, rig=rig, campaign=name, phase="damaged", began_utc=None, detail=str(error), summary={}
            )
        run = folded.run
        return _info(name, rig, run, "ended" if run.ended else "interrupted", folded.began_utc)

    def _detail(
        self, name: str, path: Path, jobs: Mapping[str, tuple[str, Job, RunPhase, RunState | None]]
    ) -> RunDetail:
        folded = _folded(path)
        if not folded.events:
            raise NotBegun(f"run {name!r} has not begun yet")
        run = folded.run
        entry = jobs.get(name)
        phase: RunPhase = "ended" if run.ended else "interrupted" if entry is None else entry[2]
        return RunDetail(
            info=_info(name, None if entry is None else entry[0], run, phase, folded.began_utc),
            header=brief(run.header),
            experiments=tuple(_plain(asdict(experiment)) for experiment in run.experiments),
            recommendation=None if run.recommendation is None else _plain(asdict(run.recommendation)),
            trips=tuple(dict(trip) for trip in run.trips),
            events=folded.events,
            head=folded.head,
        )


@dataclass(frozen=True)
class _Folded:
    """A journal's state, when it was begun, how many events it has, and the hash that vouches for them."""

    run: RunState
    began_utc: str | None
    events: int
    head: str


def _folded(path: Path) -> _Folded:
    """Read a journal event by event: all at once they are many times the memory of what is kept of them."""
    run, began_utc, events, head = RunState(), None, 0, ""
    with Journal.open(path, readonly=True) as journal:
        for event in journal.each():
            run, events, head = advance(run, event), events + 1, event.hash
            began_utc = began_utc or event.utc
        # Twins have a calendar of their own, in which all runs begin alike; the host says when it was by the wall.
        by_the_wall = (value for _, key, value in journal.host() if key == "wall_utc")
        began_utc = next((str(value).replace("+00:00", "Z") for value in by_the_wall), began_utc)
    return _Folded(run, began_utc, events, head)


def _info(name: str, rig: str | None, run: RunState, phase: RunPhase, began_utc: str | None) -> RunInfo:
    return RunInfo(
        run=name,
        rig=rig,
        campaign=str(run.header.get("campaign_name", name)),
        phase=phase,
        began_utc=began_utc,
        detail=run.stop_detail,
        summary=summary(run, bests(run)),
    )


def _unbegun(rig: str, job: Job, phase: RunPhase) -> RunInfo:
    return RunInfo(
        run=job.job,
        rig=rig,
        campaign=job.campaign,
        phase=phase,
        began_utc=None,
        detail=f"submitted {job.submitted_utc} by {job.by}",
        summary={},
    )


def _plain(value: dict[str, Any]) -> dict[str, Any]:
    """Tuples as lists: what JSON makes of them anyway."""
    return {key: list(item) if isinstance(item, tuple) else item for key, item in value.items()}
