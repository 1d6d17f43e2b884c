"""Where campaigns run: a control thread with a loop of its own, which nothing outside can block.

Twins get a fresh virtual loop for each sitting, so that a sitting repeats exactly. Hardware has one real loop for as
long as the daemon lives: its devices stay open between campaigns, and its interlocks watch whether one runs or not.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.campaign.header import Overrides
from orchestrator.campaign.steering import Steering, Wish
from orchestrator.clock.virtual_time import run_virtual
from orchestrator.daemon.telemetry import FREE_PERIOD_S, PACED_PERIOD_S, Reading, Tap
from orchestrator.errors import JournalError, JournalLost
from orchestrator.history.run_state import RunState
from orchestrator.journal.journal import JournalLocked, RecordDiffers
from orchestrator.sittings.sitting import Company, Sitting, sit, start_of

if TYPE_CHECKING:
    from orchestrator.campaign.campaign import Decider
    from orchestrator.clock.virtual_time import UtcClock
    from orchestrator.config import LoadedCampaign
    from orchestrator.journal.journal import Event, Journal
    from orchestrator.rig.devices import Tracer
    from orchestrator.rig.rig import Rig
    from orchestrator.safety.interlocks import Interlocks

Data = dict[str, Any]


@dataclass(frozen=True)
class Assignment:
    """One sitting that a bench is to hold. ``first``: what the operator wants before it has even begun.

    ``archives``: of a campaign that begins, as its journal is to keep them.
    """

    job: str
    loaded: LoadedCampaign
    journal: Path
    resume: bool
    overrides: Overrides = field(default_factory=Overrides)
    missing_ul: Mapping[str, float] = field(default_factory=dict)
    first: Wish | None = None
    archives: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Finished:
    """How a sitting ended. ``state`` is None when it never came to one; ``left``: it is to be resumed later.

    ``lost``: its journal could not be written.
    """

    job: str
    state: RunState | None
    left: bool
    detail: str
    lost: bool = False


class Listener(Protocol):
    """Who hears of a bench. Every method is called in the bench's thread and must return at once."""

    def event(self, job: str, event: Event) -> None: ...
    def reading(self, device: str, reading: Reading, due: bool) -> None: ...
    def waiting(self, job: str, waiting: bool) -> None: ...
    def finished(self, finished: Finished) -> None: ...
    def tripped(self, trip: Mapping[str, Any]) -> None: ...
    def rig(self, fault: str | None) -> None: ...


class Bench(Protocol):
    """A rig that can hold one sitting at a time. Any thread may call it."""

    def start(self) -> None:
        """Begin to live: for hardware, connect and watch."""
        ...

    def begin(self, assignment: Assignment) -> None:
        """Hold a sitting; ``finished`` says how it ended."""
        ...

    def ask(self, wish: Wish) -> None:
        """Pass a wish on to the campaign that sits, if one does."""
        ...

    def clear(self) -> None:
        """A person has cleared the latched trip."""
        ...

    def close(self) -> None:
        """Let go of the rig, made safe, and end the thread. Blocks until that is done."""
        ...


MakeDecider = Callable[["LoadedCampaign", Path], "Decider"]
MakeInterlocks = Callable[["Rig"], "Interlocks"]


class TwinBench:
    """Twins in memory: a thread and a virtual loop for each sitting, and nothing in between.

    ``watch``: makes the interlocks that watch them; None makes the usual ones.
    """

    def __init__(
        self,
        name: str,
        listener: Listener,
        *,
        speed: float | None = None,
        decider: MakeDecider | None = None,
        watch: MakeInterlocks | None = None,
    ) -> None:
        self._name = name
        self._listener = listener
        self._speed = speed
        self._decider = decider
        self._watch = watch
        self._thread: threading.Thread | None = None
        self._steering: Steering | None = None
        self._last: Wish | None = None

    def start(self) -> None:
        """Twins need no beginning."""
        self._listener.rig(None)

    def begin(self, assignment: Assignment) -> None:
        """See `Bench`."""
        self._steering = Steering(lambda waiting: self._listener.waiting(assignment.job, waiting))
        self._last = None
        if assignment.first is not None:
            self.ask(assignment.first)
        self._thread = threading.Thread(target=self._run, args=(assignment,), name=f"control of {self._name}")
        self._thread.start()

    def ask(self, wish: Wish) -> None:
        """See `Bench`."""
        self._last = wish
        if self._steering is not None:
            self._steering.ask(wish)

    def clear(self) -> None:
        """Nothing of a twin is latched."""

    def close(self) -> None:
        """See `Bench`. A campaign that still sits is cut: its twins take it up again."""
        self.ask(Wish("cut", "the daemon"))
        if self._thread is not None:
            self._thread.join()

    def _run(self, assignment: Assignment) -> None:
        try:
            state = self._sit(assignment)
        except BaseException as error:  # noqa: BLE001 - a defect of the program must not take the other rigs with it
            self._listener.finished(failure(assignment, error))
        else:
            self._listener.finished(Finished(assignment.job, state, not state.ended, state.stop_detail))

    def _sit(self, assignment: Assignment) -> RunState:
        if not assignment.resume:
            return self._sitting(assignment, exactly=False)
        try:
            return self._sitting(assignment, exactly=True)
        except RecordDiffers:
            # The twins do not repeat this record: what was under way is in doubt, as it would be on hardware.
            assert self._steering is not None
            if self._last is not None:
                self._steering.ask(self._last)
            return self._sitting(assignment, exactly=False)

    def _sitting(self, assignment: Assignment, *, exactly: bool) -> RunState:
        start_s = start_of(assignment.journal) if assignment.resume and not exactly else 0.0
        sitting = sitting_of(assignment, hardware=False, exactly=exactly, start_s=start_s)
        period_s = FREE_PERIOD_S if self._speed is None else PACED_PERIOD_S

        def tap(tracer: Tracer, clock: UtcClock, journal: Journal) -> Tracer:
            def heard(device: str, reading: Reading, due: bool) -> None:
                self._listener.reading(device, reading, due and not journal.catching_up)

            return Tap(tracer, lambda: stamp(clock), heard, period_s)

        company = Company(
            on_event=lambda event: self._listener.event(assignment.job, event),
            steering=self._steering,
            decider=self._decider,
            watch=self._watch,
            watch_tracer=tap,
        )
        return run_virtual(sit(sitting, company), speed=self._speed, start_s=start_s)[0]


def sitting_of(assignment: Assignment, *, hardware: bool, exactly: bool, start_s: float) -> Sitting:
    """The sitting that an assignment asks for."""
    return Sitting(
        loaded=assignment.loaded,
        journal=assignment.journal,
        hardware=hardware,
        resume=assignment.resume,
        exactly=exactly,
        start_s=start_s,
        overrides=assignment.overrides,
        missing_ul=assignment.missing_ul,
        archives=assignment.archives,
    )


async def outcome_of(assignment: Assignment, sitting: Awaitable[RunState]) -> Finished:
    """Await a sitting and say how it ended, whatever comes out of it."""
    try:
        state = await sitting
    except BaseException as error:  # noqa: BLE001 - what it was is said
        return failure(assignment, error)
    return Finished(assignment.job, state, not state.ended, state.stop_detail)


def failure(assignment: Assignment, error: BaseException) -> Finished:
    """How a sitting ended that came to no end of its own."""
    if isinstance(error, asyncio.CancelledError):
        return Finished(assignment.job, None, True, "left as it stands")
    if isinstance(error, JournalLost):
        return Finished(assignment.job, None, True, str(error), lost=True)
    if isinstance(error, JournalError):
        # What exists waits as it did; while somebody else holds it, nothing has moved here.
        held = assignment.resume and isinstance(error, JournalLocked)
        return Finished(assignment.job, None, assignment.resume, str(error), lost=not held)
    return Finished(assignment.job, None, False, f"{type(error).__name__}: {error}", lost=True)


def stamp(clock: UtcClock) -> tuple[float, str]:
    """The run's time and UTC now."""
    t_s = clock.t_s()
    return t_s, clock.at(t_s).isoformat(timespec="milliseconds").replace("+00:00", "Z")
