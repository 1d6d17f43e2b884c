"""One sitting of a campaign at its rig: journal, rig and campaign put together on the running loop, and taken apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.campaign.archives import gather
from orchestrator.campaign.campaign import Campaign, Decider
from orchestrator.campaign.deciders import LiveDecider, ResumingDecider
from orchestrator.campaign.header import Overrides, header_of
from orchestrator.clock.virtual_time import UtcClock, VirtualTimeLoop, blocking_clock
from orchestrator.errors import JournalError, JournalLost
from orchestrator.history.fold import fold
from orchestrator.history.run_state import RunState, added
from orchestrator.journal.journal import Journal
from orchestrator.origin import installed_version
from orchestrator.rig.build import build_rig
from orchestrator.rig.tracing import RecordingTracer

if TYPE_CHECKING:
    from orchestrator.campaign.steering import Steering
    from orchestrator.config import LoadedCampaign
    from orchestrator.journal.journal import Event
    from orchestrator.rig.devices import Tracer
    from orchestrator.rig.rig import Rig
    from orchestrator.safety.interlocks import Interlocks

PACKAGES = ("lumiflow", "torch", "botorch", "numpy", "scipy", "pydantic", "pyserial", "pymodbus", "seabreeze")


@dataclass(frozen=True)
class Sitting:
    """What one sitting is about.

    ``resume``: the journal exists. ``exactly``: twins live through it again from its beginning; else the run goes on at
    ``start_s``, with what was under way in doubt. ``missing_ul``: what the syringes lack beside this campaign.
    ``archives``: those that came with a campaign that begins; None reads the files that it names.
    """

    loaded: LoadedCampaign
    journal: Path
    hardware: bool
    resume: bool
    exactly: bool
    start_s: float = 0.0
    overrides: Overrides = field(default_factory=Overrides)
    missing_ul: Mapping[str, float] = field(default_factory=dict)
    archives: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class Company:
    """Who is present at a sitting.

    ``operator``: holds the campaign while it runs. ``steering``: carries an operator's wishes. ``rig``: gives a rig
    that is held open by somebody, for a tracer; None builds one. ``interlocks``: those that watch it already.
    ``watch``: makes those that watch a rig that is built; None makes the usual ones.
    ``decider``: who answers for the planner; None plans in a thread. ``watch_tracer``: puts itself around the tracer.
    """

    on_event: Callable[[Event], None] | None = None
    operator: Callable[[Campaign], AbstractContextManager[None]] | None = None
    steering: Steering | None = None
    rig: Callable[[Tracer], Rig] | None = None
    interlocks: Interlocks | None = None
    watch: Callable[[Rig], Interlocks] | None = None
    decider: Callable[[LoadedCampaign, Path], Decider] | None = None
    watch_tracer: Callable[[Tracer, UtcClock, Journal], Tracer] | None = None


def start_of(path: Path) -> float:
    """Where the time of a journal's next sitting begins, in s. Raises JournalError."""
    with Journal.open(path, readonly=True) as earlier:
        return earlier.last_t_s


async def sit(sitting: Sitting, company: Company) -> tuple[RunState, float]:
    """Sit through it on the running loop; returns the state at its end and the wall's seconds.

    Raises ConfigError for an archive that cannot be read, RecordDiffers when twins do not repeat the record,
    JournalLost when the journal cannot be written any more, and JournalError when it cannot be opened.
    """
    loop = asyncio.get_running_loop()
    clock = UtcClock(loop, start_s=sitting.start_s)
    began = clock.wall()
    path, loaded = sitting.journal, sitting.loaded
    archives: Sequence[Mapping[str, Any]] = sitting.archives or ()
    if sitting.archives is None and loaded.config.archives and not sitting.resume:
        archives = await asyncio.to_thread(gather, loaded)
    with Journal.open(path, clock) if sitting.resume else Journal.create(path, clock) as journal:
        recorded = tuple(journal.events())
        history = () if sitting.exactly else recorded
        header = (
            recorded[0].data
            if recorded
            else header_of(
                loaded,
                sitting.overrides,
                hardware=sitting.hardware,
                missing_ul=sitting.missing_ul,
                archives=archives,
            )
        )
        earlier = fold(history)
        # Between two sittings the guardian may have flushed, which no record of the run says.
        missing_ul = (sitting.missing_ul or earlier.missing_ul) if history else header.get("missing_ul", {})
        if sitting.exactly:
            journal.catch_up()
        await _note_host(journal, path, clock, resumed=sitting.resume)
        tracer: Tracer = RecordingTracer(journal, clock)
        if company.watch_tracer is not None:
            tracer = company.watch_tracer(tracer, clock, journal)
        if company.rig is not None:
            rig = company.rig(tracer)
            rig.earlier_ul = added(earlier.drawn_ul, missing_ul)
        else:
            rig = build_rig(
                loaded,
                tracer,
                hardware=sitting.hardware,
                clock=blocking_clock(loop),
                start_s=loop.time(),
                history=history,
                missing_ul=missing_ul,
            )
        interlocks = company.interlocks
        if interlocks is None and company.watch is not None:
            interlocks = company.watch(rig)
        live: Decider = LiveDecider(loaded) if company.decider is None else company.decider(loaded, path)
        campaign = Campaign(
            loaded,
            rig,
            journal,
            ResumingDecider(journal, live) if sitting.exactly else live,
            header=header,
            history=history,
            on_event=_caught_up_unpaced(journal, company.on_event) if sitting.exactly else company.on_event,
            steering=company.steering,
            held_open=company.rig is not None,
            interlocks=interlocks,
            missing_ul=missing_ul if history else None,
        )
        with nullcontext() if company.operator is None else company.operator(campaign):
            if sitting.exactly:
                campaign.interrupt_as_recorded(recorded, clock)
            try:
                state = await campaign.run()
            except JournalError as error:
                raise JournalLost(f"{error}. The run was ended and the rig brought to its safe state") from error
        ended = clock.wall()
        await journal.note_host("wall_s", (ended - began).total_seconds())
        return state, (ended - began).total_seconds()


def _caught_up_unpaced(journal: Journal, heard: Callable[[Event], None] | None) -> Callable[[Event], None] | None:
    """Let twins live through their record as fast as they can; from its end on they keep their loop's pace again."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, VirtualTimeLoop) or loop.speed is None:
        return heard
    speed = loop.speed
    loop.set_speed(None)

    def hear(event: Event) -> None:
        if loop.speed is None and not journal.catching_up:
            loop.set_speed(speed)
        if heard is not None:
            heard(event)

    return hear


async def _note_host(journal: Journal, path: Path, clock: UtcClock, *, resumed: bool) -> None:
    """Where, when and with what, outside the chain of events."""
    import platform

    await journal.note_host("sitting", "resumed" if resumed else "begun")
    await journal.note_host("wall_utc", clock.wall().isoformat(timespec="seconds"))
    await journal.note_host("journal", str(path))
    await journal.note_host("machine", f"{platform.system()} {platform.machine()}, Python {platform.python_version()}")
    await journal.note_host("versions", {name: installed_version(name) for name in PACKAGES})
