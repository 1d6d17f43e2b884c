"""What may be asked of the daemon, by whom, and what it answers. One vocabulary for every way in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, FailFast, Field, StringConstraints, TypeAdapter

from orchestrator.campaign.archives import MAX_ROWS
from orchestrator.config.quantities import NAME

Via = Literal["cli", "http", "mqtt", "signal", "guardian"]

RigName = Annotated[str, StringConstraints(pattern=NAME.pattern)]
JobId = Annotated[str, StringConstraints(pattern=r"^[\w.-]{1,120}$")]
Words = Annotated[str, StringConstraints(max_length=500)]
ArchiveRow = Annotated[tuple[float | bool | None, ...], Field(strict=False, max_length=100), FailFast()]
"""One cell that is none is enough to refuse it: millions of wrong ones are not told one by one."""
CampaignText = Annotated[str, StringConstraints(min_length=1, max_length=1_000_000)]


@dataclass(frozen=True)
class Actor:
    """Who asked, and by which way in. ``name``: of the token, the user or the process; never a secret."""

    name: str
    via: Via


class _Command(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class OverridesIn(_Command):
    """What the one who submits says instead of the campaign file, as ``lumiflow run`` takes it."""

    seed: int | None = Field(default=None, ge=0, le=2**63 - 1)
    target: Words | None = None
    strategy: Words | None = None


class ArchiveIn(_Command):
    """Earlier experiments under a name that the campaign's ``archives`` have, instead of the files that they are in.

    ``rows``: the inputs in the campaign's order and in base units, then peak_ev, fwhm_ev, quantum_yield, peak_sd_ev,
    failed. ``files``: where they came from, to be said again. ``outside``, ``off_steps``: how many were left out for
    lying outside of the inputs' ranges, or off their steps.
    """

    name: RigName
    rows: Annotated[tuple[ArchiveRow, ...], Field(strict=False, max_length=MAX_ROWS), FailFast()]
    files: Annotated[tuple[Words, ...], Field(strict=False, max_length=100), FailFast()] = ()
    outside: int = Field(default=0, ge=0, le=10_000_000)
    off_steps: int = Field(default=0, ge=0, le=10_000_000)


Archives = Annotated[tuple[ArchiveIn, ...], Field(strict=False, max_length=100), FailFast()]


class Submit(_Command):
    """Put a campaign at the end of a rig's queue. ``campaign``: the file's text; the rig is the daemon's own.

    ``archives``: the experiments of the archives that it names; the daemon opens no file for it.
    """

    verb: Literal["submit"]
    rig: RigName
    campaign: CampaignText
    file: Annotated[str, StringConstraints(pattern=r"^[^/\\\x00-\x1f]{1,120}$")] = "campaign.yaml"
    overrides: OverridesIn = OverridesIn()
    archives: Archives = ()


class Pause(_Command):
    """Finish the present experiment, then bring the rig to its safe idle and wait. Idle: begin nothing more."""

    verb: Literal["pause"]
    rig: RigName


class Resume(_Command):
    """Go on: from a pause, a hold, or with what the daemon's end has interrupted."""

    verb: Literal["resume"]
    rig: RigName


class Hold(_Command):
    """Pumps stop now; the present experiment is in doubt and runs again after ``resume``.

    ``keep_temperature``: leave the heater at its set-point; else it is switched off.
    """

    verb: Literal["hold"]
    rig: RigName
    keep_temperature: bool = False


class Stop(_Command):
    """Finish the present experiment, then end the campaign: safe sequence, recommendation."""

    verb: Literal["stop"]
    rig: RigName


class Abort(_Command):
    """End the campaign now: the safe sequence without its flushes.

    ``give_up``: one that was interrupted and whose journal cannot be read any more. Every syringe of the rig then
    counts as empty until it is refilled.
    """

    verb: Literal["abort"]
    rig: RigName
    give_up: bool = False


class Cancel(_Command):
    """Take a campaign that has not begun out of the queue."""

    verb: Literal["cancel"]
    rig: RigName
    job: JobId


class Move(_Command):
    """Put a queued campaign at another place; 1 is next."""

    verb: Literal["move"]
    rig: RigName
    job: JobId
    place: int = Field(ge=1, le=10_000)


class Clear(_Command):
    """Unlatch a tripped interlock, by somebody who has looked at the rig."""

    verb: Literal["clear"]
    rig: RigName


class Refill(_Command):
    """A syringe holds this much now; without a volume, it is full. ``stock``: of what, where it holds another now."""

    verb: Literal["refill"]
    rig: RigName
    pump: RigName
    volume_ul: float | None = Field(default=None, ge=0.0, le=1.0e6)
    stock: RigName | None = None


Command = Annotated[
    Submit | Pause | Resume | Hold | Stop | Abort | Cancel | Move | Clear | Refill, Field(discriminator="verb")
]
COMMAND: TypeAdapter[Command] = TypeAdapter(Command)


class Outcome(BaseModel):
    """What became of a command. Refused is an answer too: ``detail`` says why. ``job``: the one concerned."""

    model_config = ConfigDict(frozen=True)

    accepted: bool
    detail: str
    job: str | None = None
