"""What a rig's station speaks of: the place where the rig's things are, its present campaign, its trips in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.campaign.steering import Wish
from orchestrator.config import parse_campaign
from orchestrator.daemon.ledger import Job
from orchestrator.errors import JournalError
from orchestrator.file_lock import read_note
from orchestrator.history.fold import fold
from orchestrator.history.run_state import RunState
from orchestrator.journal.journal import Journal
from orchestrator.journal.recovery import was_recovered
from orchestrator.journal.seal import Mark

if TYPE_CHECKING:
    from orchestrator.config import LoadedCampaign, RigConfig
    from orchestrator.daemon.bench import Assignment

Data = Mapping[str, Any]

_TRIP = ("interlock", "device", "value", "limit", "unit")
"""What makes a trip that one; the journals of rig and run time it differently."""


@dataclass(frozen=True)
class Place:
    """A rig and where its things are kept. ``text``: of the rig file. ``hardware``: real devices.

    ``queue``: how many campaigns may wait.
    """

    name: str
    rig: RigConfig
    text: str
    file: Path
    runs: Path
    journal: Path
    hardware: bool
    queue: int

    def journal_of(self, job: str) -> Path:
        """Where a run's journal is."""
        return self.runs / f"{job}.sqlite"

    def parsed(self, text: str, file: str) -> LoadedCampaign:
        """A campaign's text on this rig. Raises ConfigError."""
        return parse_campaign(text, file, self.text, self.file.name)


@dataclass
class Present:
    """The campaign that sits, or that the daemon's end has interrupted (``live`` False).

    ``refused``: why it could not be taken up when somebody last asked for that. ``unread``: its journal cannot be
    trusted; what it has measured and used up is not known, and it can neither go on nor be ended, only be given up.
    ``doubted``: it was recovered; what lay behind the damage is missing, also of what the syringes have given.
    ``ready``: what the bench is to be given next, and how many of its events have been heard.
    """

    job: Job
    run: RunState
    live: bool
    seen: int = 0
    stage: str = ""
    wish: Wish | None = None
    waiting: bool = False
    refused: str = ""
    unread: bool = False
    doubted: bool = False
    ready: tuple[Assignment, int] | None = None

    @property
    def interrupted(self) -> str:
        """What is to be done with it, in words, while it does not sit."""
        if self.unread:
            gone = f"interrupted by the daemon's end, and what it has used up is not known: {self.refused}"
            return f"{gone}; resume it once its journal can be read, or give it up (abort --give-up)"
        why = f"; it was not taken up: {self.refused}" if self.refused else ""
        return f"interrupted by the daemon's end; resume it, or end it with stop or abort{why}"


def interrupted(job: Job, path: Path) -> Present:
    """What the daemon's end has interrupted, as its journal tells it; `Present.unread` if that cannot be trusted."""
    try:
        if not path.is_file() and Mark.parse(read_note(path)) is not None:
            raise JournalError(f"{path} is gone, and the lock beside it says that it held records: put it back")
        return Present(job, run_state(path), live=False, doubted=was_recovered(path))
    except JournalError as error:
        return unreadable(job, error)


def unreadable(job: Job, error: JournalError) -> Present:
    """A campaign that waits for its journal."""
    return Present(job, RunState(), live=False, refused=str(error), unread=True, doubted=True)


def root_trip(run: RunState) -> Mapping[str, Any]:
    """The root cause of the newest sitting's trips; what came behind it names it and is left out.

    All came behind another where that one was latched before the run began to tell: then the last of them.
    """
    return next((trip for trip in reversed(run.trips) if "behind" not in trip), run.trips[-1])


def run_state(path: Path) -> RunState:
    """A run as its journal tells it; an empty one where there is no such file. Raises JournalError."""
    if not path.is_file():
        return RunState()
    with Journal.open(path, readonly=True) as journal:
        return fold(journal.events())


def was_cleared(run: RunState, cleared: Data | None) -> bool:
    """Whether a person has cleared all that a run has tripped by.

    Told by the number of its trips where its journal could be read when that person cleared one, else by the words.
    """
    if cleared is None:
        return False
    if "trips" in cleared:
        return len(run.trips) <= int(cleared["trips"])
    trip = root_trip(run)
    return all(trip[key] == cleared[key] for key in _TRIP)


def trip_words(trip: Data) -> str:
    """A trip in one line."""
    return f"{trip['interlock']} on {trip['device']}: {trip['value']} {trip['unit']}".rstrip()


def bad_end(run: RunState, detail: str) -> Data:
    """The trip of a run that ended by a fault, or left its rig unsafe."""
    interlock = "fault" if run.safe is not False else "safe sequence incomplete"
    return {"interlock": interlock, "device": "campaign", "value": detail, "limit": "none", "unit": ""}


def lost_journal(detail: str) -> Data:
    """The trip of a run whose journal could not be written."""
    return {"interlock": "journal lost", "device": "disk", "value": detail, "limit": "none", "unit": ""}
