"""The daemon as its interfaces see it: what it says of itself, and the protocol that they hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict

from orchestrator.daemon.commands import Actor, Command, Outcome
from orchestrator.daemon.feed import Feed

JSON = Any

StationState = Literal["idle", "running", "pausing", "paused", "held", "ending", "tripped", "fault"]
"""idle: nothing runs. pausing: the present experiment is being finished. paused: waits for a person, rig in its safe
idle, nothing begins. held: pumps stopped in the middle of an experiment. ending: the campaign is being brought to its
end. tripped: an interlock has latched and waits to be cleared. fault: the rig cannot be worked with."""
RunPhase = Literal["queued", "running", "interrupted", "ended", "cancelled", "damaged"]
Quality = Literal["good", "stale", "none"]


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True)


class ReadingState(_Fact):
    """The last that a device said. ``values``: by quantity with its unit in the name. ``age_s``: on the rig's clock."""

    values: dict[str, JSON]
    t_s: float | None
    utc: str | None
    age_s: float | None
    quality: Quality


class SyringeState(_Fact):
    """What is left in a syringe, by the rig's own record; None while a campaign waits whose journal cannot be read."""

    stock: str
    volume_ul: float
    left_ul: float | None


class JobState(_Fact):
    """A campaign in the queue."""

    job: str
    campaign: str
    place: int
    submitted_utc: str
    by: str


class TripState(_Fact):
    """A latched interlock: the root cause, until a person clears it."""

    interlock: str
    device: str
    value: float | str
    limit: float | str
    unit: str
    utc: str


class ExperimentState(_Fact):
    """The present experiment. ``stage``: the kind of its last event. ``recipe``: in the campaign's own inputs."""

    n: int
    stage: str
    recipe: dict[str, float]
    attempts: int


class RigState(_Fact):
    """One rig now. ``detail``: why it is in its state, in words. ``job``: what runs, waits paused, or was interrupted.

    ``t_s``: the run's clock. ``told`` and ``best_error_mev``: how far the present campaign has come; the
    latter says how far from the target lies the experiment that is best by what the campaign wants.
    """

    state: StationState
    detail: str
    mode: Literal["twin", "hardware"]
    job: str | None
    campaign: str | None
    experiment: ExperimentState | None
    told: int
    best_error_mev: float | None
    trip: TripState | None
    devices: dict[str, ReadingState]
    syringes: dict[str, SyringeState]
    queue: tuple[JobState, ...]
    t_s: float | None


class DaemonState(_Fact):
    """The whole daemon. ``boot_id``: a new one for each life of the process."""

    boot_id: str
    version: str
    started_utc: str
    utc: str
    rigs: dict[str, RigState]


class RunInfo(_Fact):
    """One run, finished or not. ``summary``: as ``lumiflow run --json`` says it."""

    run: str
    rig: str | None
    campaign: str
    phase: RunPhase
    began_utc: str | None
    detail: str
    summary: dict[str, JSON]


class RunDetail(_Fact):
    """One run with all that its journal tells, folded."""

    info: RunInfo
    header: dict[str, JSON]
    experiments: tuple[dict[str, JSON], ...]
    recommendation: dict[str, JSON] | None
    trips: tuple[dict[str, JSON], ...]
    events: int
    head: str


class Conductor(Protocol):
    """What an interface may ask of the daemon. Call it in the daemon's own loop; nothing in it waits for a rig."""

    feed: Feed
    boot_id: str

    async def state(self) -> DaemonState:
        """Everything as it stands."""
        ...

    async def command(self, actor: Actor, command: Command) -> Outcome:
        """Journal a command with its actor, then act on it. What cannot be done is an outcome, not an error.

        Raises JournalError when it cannot be journalled; then nothing has been done.
        """
        ...

    async def runs(self) -> tuple[RunInfo, ...]:
        """Every run and every queued campaign, newest first."""
        ...

    async def run(self, run_id: str) -> RunDetail:
        """One run. Raises UnknownRun, and NotBegun where it has no journal."""
        ...

    def journal_path(self, run_id: str) -> Path:
        """The file of a run's journal. Raises UnknownRun for a name that is no run's, NotBegun where there is none."""
        ...
