"""From a campaign file to a finished run: which journal, which rig, which loop; and the result as one record."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.campaign.archives import left_out
from orchestrator.campaign.header import Overrides, loaded_from
from orchestrator.campaign.standing import bests
from orchestrator.clock.paced_time import check_pace
from orchestrator.clock.virtual_time import run_real, run_virtual
from orchestrator.config import LoadedCampaign, load_campaign
from orchestrator.console.interrupts import interrupted_by, never_suspended
from orchestrator.errors import (
    EXIT_FAULT,
    EXIT_TARGET_REACHED,
    EXIT_WITHOUT_TARGET,
    LumiflowError,
    UsageRefused,
    in_words,
)
from orchestrator.history.fold import fold
from orchestrator.history.run_state import RunState
from orchestrator.history.summary import summary
from orchestrator.journal.journal import Event, Journal, JournalLocked, RecordDiffers
from orchestrator.preflight.findings import preflight
from orchestrator.sittings.sitting import Company, Sitting, sit, start_of

if TYPE_CHECKING:
    from orchestrator.campaign.campaign import Campaign
    from orchestrator.sittings.show import Show

_STEM_BYTES = 200
"""A file's name has 255 bytes at the most, and number, kind and the longest ending beside a journal take 30 of them."""


@dataclass(frozen=True)
class RunOptions:
    """What the command line asked for.

    ``rig``: in place of the one that the campaign names. ``resume``: True go on, False begin anew, None ask.
    """

    campaign: Path
    hardware: bool = False
    rig: Path | None = None
    overrides: Overrides = field(default_factory=Overrides)
    journal: Path | None = None
    runs: Path = Path("runs")
    resume: bool | None = None
    speed: float | None = None
    report: bool = True


@dataclass(frozen=True)
class RunResult:
    """A run that has ended."""

    state: RunState
    journal: Path
    report: Path | None
    wall_s: float
    detail: str
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """See ``orchestrator.errors``."""
        if self.state.stop_reason == "target_reproduced":
            return EXIT_TARGET_REACHED
        return EXIT_FAULT if self.state.stop_reason == "fault" else EXIT_WITHOUT_TARGET

    def as_dict(self) -> dict[str, Any]:
        """The last line of ``lumiflow run --json``."""
        return {
            **summary(self.state, bests(self.state)),
            "wall_s": round(self.wall_s, 3),
            "safe": self.state.safe,
            "journal": str(self.journal),
            "report": None if self.report is None else str(self.report),
            "notes": list(self.notes),
        }


def run_campaign(options: RunOptions, show: Show, ask: Callable[[str], bool] | None) -> RunResult:
    """Run a campaign file to its end.

    ``ask`` puts a yes-or-no question to a person, or is None where there is nobody to ask. Raises LumiflowError for
    refused input and for what nothing can be done about; a fault during the run is a result, not an error.
    """
    check_pace(options.speed)
    if options.hardware and options.speed is not None:
        raise UsageRefused("--speed paces twins; hardware keeps its own time")
    loaded = options.overrides.applied(load_campaign(options.campaign, options.rig))
    path, earlier = _choose_journal(options, loaded, ask)
    resume = earlier is not None
    if resume:
        loaded = _as_recorded(path, options, loaded, show)
    checked = preflight(loaded)
    begun = earlier is not None and bool(earlier.header)
    checked.require(begun=begun)
    for short in checked.short:
        show.note(f"{short.summary()}; the run has begun, and goes on with what is left")
    for warning in checked.warnings:
        show.note(warning.summary())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageRefused(f"no folder for the journal can be made: {in_words(error)}") from error
    try:
        state, wall_s = _sit(options, loaded, path, show, resume=resume, exactly=_in_one_sitting(earlier))
    except RecordDiffers as difference:
        show.note(
            f"the twins do not repeat this record ({difference}); treating the interrupted experiment as in doubt"
        )
        state, wall_s = _sit(options, loaded, path, show, resume=True, exactly=False)
    report = _write_report(path, show) if options.report else None
    return RunResult(state, path, report, wall_s, state.stop_detail, show.notes)


def _write_report(journal: Path, show: Show) -> Path | None:
    """The report beside the journal; None, with the reason told, where it cannot stand there."""
    from orchestrator.report import write_report

    try:
        return write_report(journal, journal.with_suffix(".html"))
    except (OSError, LumiflowError) as error:
        show.warn(f"there is no report: {in_words(error)}")
        return None


def _sit(
    options: RunOptions, loaded: LoadedCampaign, path: Path, show: Show, *, resume: bool, exactly: bool
) -> tuple[RunState, float]:
    """One sitting at the rig, on the loop that it needs."""
    exactly = exactly and not options.hardware
    anew = not resume or exactly  # from the first event on: twins live through a record again
    if not anew:
        with Journal.open(path, readonly=True) as journal:
            show.goes_on(fold(journal.events()))
    start_s = 0.0 if anew else start_of(path)
    sitting = Sitting(
        loaded=loaded,
        journal=path.absolute(),
        hardware=options.hardware,
        resume=resume,
        exactly=exactly,
        start_s=start_s,
        overrides=options.overrides,
    )
    heard = show.event if resume else partial(_begins, loaded, show)
    company = Company(on_event=heard, operator=partial(_operator, show, hardware=options.hardware))
    if options.hardware:
        return run_real(sit(sitting, company), pace=loaded.rig.pace)
    return run_virtual(sit(sitting, company), speed=options.speed, start_s=start_s)


def _begins(loaded: LoadedCampaign, show: Show, event: Event) -> None:
    """Hear of an event of a run that began now, and first of all of what its planner is not told of."""
    if event.kind == "run_started":
        for note in left_out(loaded, event.data.get("archives", ())):
            show.note(note.summary())
    show.event(event)


@contextmanager
def _operator(show: Show, campaign: Campaign, *, hardware: bool) -> Iterator[None]:
    """Ctrl-C, a polite kill and a closed terminal end the campaign through its safe sequence, not the program.

    Ctrl-Z stops a run on twins, as any program, and none on hardware.
    """
    loop = asyncio.get_running_loop()
    with interrupted_by(loop, campaign.interrupt), never_suspended(loop, show.warn) if hardware else nullcontext():
        yield


def _in_one_sitting(earlier: RunState | None) -> bool:
    """Whether twins can live through a run again to where it broke off: they know no end, and no second beginning."""
    return earlier is not None and not earlier.ended and earlier.sittings <= 1


def _choose_journal(
    options: RunOptions, loaded: LoadedCampaign, ask: Callable[[str], bool] | None
) -> tuple[Path, RunState | None]:
    """The journal to write, and how the run stands that it is to go on with; None for a run that begins anew."""
    name, existing = stem_of(loaded.config.name), list[Path]()
    if options.journal is not None:
        path = options.journal
        if not path.exists():
            if options.resume:
                raise UsageRefused(f"there is nothing to resume: {path} does not exist")
            if path.suffix.lower() == ".html":
                raise UsageRefused(f"--journal {path}: the report would have this name; name it as in runs/own.sqlite")
            return path, None
        if options.resume is False:
            other = "name another file, or give --resume in place of --fresh to go on with it"
            raise UsageRefused(f"{path} exists, and a journal is never overwritten: {other}")
        candidate: Path | None = path
    else:
        existing = sorted(options.runs.glob(f"{name}-[0-9][0-9][0-9][0-9].sqlite"))
        number = int(existing[-1].stem[-4:]) + 1 if existing else 1
        path = options.runs / f"{name}-{number:04d}.sqlite"
        candidate = existing[-1] if existing and options.resume is not False else None
    if candidate is None:
        if options.resume:
            raise UsageRefused(f"there is nothing to resume: {options.runs} holds no run of {name}")
        return path, None
    earlier = _state_of(candidate)
    if options.resume:
        if earlier is None:
            raise UsageRefused(f"{candidate} is being written by another process")
        if not _can_go_on(earlier):
            words = f"there is nothing to resume: {candidate} has reached its end"
            raise UsageRefused(words + _resumable_words(existing[:-1], hardware=options.hardware))
        return candidate, earlier
    if earlier is not None and not earlier.ended:
        question = f"{candidate} was interrupted. Go on with it?"
        if ask is None:
            anew = "--fresh" if options.journal is None else "another name"
            raise UsageRefused(f"{candidate} was interrupted: give --resume to go on with it, or {anew} to begin anew")
        if ask(question):
            return candidate, earlier
    if options.journal is not None:
        raise UsageRefused(f"{candidate} exists, and a journal is never overwritten: name another file")
    return path, None


def _can_go_on(state: RunState) -> bool:
    """Whether a run was interrupted, or ended by somebody or something that had nothing to do with its target."""
    return not state.ended or state.stop_reason in ("operator", "fault")


def _resumable_words(journals: Sequence[Path], *, hardware: bool) -> str:
    """Which of these earlier runs can be resumed, the newest that can; empty where none can."""
    for path in reversed(journals):
        try:
            with Journal.open(path, readonly=True) as journal:
                state = fold(journal.events())
        except LumiflowError:  # whoever asks for this one by its name is told what is wrong with it
            continue
        here = bool(state.header) and (state.header["mode"] == "hardware") == hardware
        if here and _can_go_on(state) and (state.ended or _state_of(path) is not None):
            by = "its operator" if state.stop_reason == "operator" else "a fault"
            how = f"was ended by {by}" if state.ended else "was interrupted"
            return f"; {path} {how}: go on with that one by --resume --journal {path}"
    return ""


def stem_of(name: str) -> str:
    """What the files of a campaign's runs are called, without their number: short enough for any file system."""
    stem = re.sub(r"[^\w.-]+", "-", name).strip(".-")
    return stem.encode()[:_STEM_BYTES].decode(errors="ignore").strip(".-") or "campaign"


def _state_of(path: Path) -> RunState | None:
    """How a run stands by its journal; None while another process writes it."""
    try:
        Journal.open(path).close()
    except JournalLocked:
        return None
    with Journal.open(path, readonly=True) as journal:
        return fold(journal.events())


def _as_recorded(path: Path, options: RunOptions, loaded: LoadedCampaign, show: Show) -> LoadedCampaign:
    """The campaign as the interrupted run knew it: its own texts and overrides, whatever the files say today."""
    with Journal.open(path, readonly=True) as journal:
        first = next(journal.events(), None)
    if first is None:
        return loaded
    if options.overrides.given:
        raise UsageRefused(
            "a resumed run keeps its own seed, target and strategy: leave --seed, --target, --strategy out"
        )
    if (first.data["mode"] == "hardware") != options.hardware:
        raise UsageRefused(
            f"{path} ran on {'hardware' if first.data['mode'] == 'hardware' else 'twins'}: resume it there"
        )
    recorded = loaded_from(first.data)
    if recorded.config.name != loaded.config.name:
        whose = f"{path} holds a run of {recorded.config.name!r}, and not of {loaded.config.name!r}"
        raise UsageRefused(f"{whose}: give the campaign file that it was begun with, or another journal")
    read = [(each.campaign_text, each.rig_text, each.config.objective.shape) for each in (recorded, loaded)]
    if read[0] != read[1]:
        show.note("the files have changed since; the run goes on with what they said when it began")
    return recorded
