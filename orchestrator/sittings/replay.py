"""Run a finished campaign again through the same code, its devices answering from the record."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.deciders import Comparison, LiveDecider, ReplayDecider
from orchestrator.campaign.header import loaded_from
from orchestrator.clock.paced_time import check_pace
from orchestrator.clock.virtual_time import UtcClock, run_virtual
from orchestrator.errors import JournalError, ReplayDivergence
from orchestrator.journal.journal import Event, Journal
from orchestrator.journal.record import Apart
from orchestrator.rig.build import recorded_rig
from orchestrator.rig.tracing import ReplayTracer

if TYPE_CHECKING:
    from orchestrator.sittings.show import Show


@dataclass(frozen=True)
class ReplayResult:
    """What a replay found. ``divergence``: where the conductor itself went another way than the record. ``apart``:
    temperatures and pressures of a record by the wall that it saw a look earlier or later."""

    journal: Path
    events: int
    recorded: int
    decisions: tuple[Comparison, ...]
    divergence: str | None
    apart: tuple[Apart, ...] = ()

    @property
    def same(self) -> bool:
        """True when every event came again and every decision was the same."""
        return self.divergence is None and self.events == self.recorded and all(c.agrees for c in self.decisions)

    def words(self) -> str:
        """The result in a sentence."""
        if self.divergence is not None:
            return f"The replay went another way after {self.events} of {self.recorded} events: {self.divergence}"
        other = [c for c in self.decisions if not c.agrees]
        if other:
            names = ", ".join(f"{c.what} {c.n}" if c.n is not None else c.what for c in other)
            return f"All {self.events} events came again, but the planner now decides differently: {names}"
        words = f"The same again: {self.events} events, {len(self.decisions)} decisions, not one different."
        if not self.apart:
            return words
        more = f" and {len(self.apart) - 3} more" if len(self.apart) > 3 else ""
        shown = "; ".join(map(str, self.apart[:3]))
        return f"{words} By the wall a look may fall before or after: {shown}{more}."

    def as_dict(self) -> dict[str, Any]:
        """The replay for ``--json``."""
        return {
            "same": self.same,
            "events": self.events,
            "recorded": self.recorded,
            "divergence": self.divergence,
            "apart": [asdict(each) for each in self.apart],
            "journal": str(self.journal),
            "decisions": [
                {
                    "what": c.what,
                    "n": c.n,
                    "agrees": c.agrees,
                    "recorded": c.recorded["recipe"],
                    "recomputed": None if c.recomputed is None else c.recomputed["recipe"],
                }
                for c in self.decisions
            ],
        }


def replay_run(path: Path, show: Show, *, speed: float | None = None) -> ReplayResult:
    """Replay a journal at a pace (None: as fast as possible).

    Raises UsageRefused for a pace that is none, JournalError for a journal that cannot be replayed.
    """
    check_pace(speed)
    return run_virtual(_replay(path, show), speed=speed)


async def _replay(path: Path, show: Show) -> ReplayResult:
    clock = UtcClock(asyncio.get_running_loop())
    decisions: list[Comparison] = []
    with Journal.open(path, clock, readonly=True) as journal:
        recorded = tuple(journal.events())
        _check_replayable(path, [event.kind for event in recorded])
        loaded = loaded_from(recorded[0].data)
        journal.catch_up()
        seen = 0

        def heard(event: Event) -> None:
            nonlocal seen
            seen += 1
            show.event(event)

        def compared(comparison: Comparison) -> None:
            decisions.append(comparison)
            show.compared(comparison)

        rig = recorded_rig(loaded, ReplayTracer(journal, clock))
        decider = ReplayDecider(journal, LiveDecider(loaded), loaded, compared)
        campaign = Campaign(loaded, rig, journal, decider, header=recorded[0].data, on_event=heard)
        campaign.interrupt_as_recorded(recorded, clock)
        divergence: str | None = None
        try:
            await campaign.run()
        except ReplayDivergence as error:
            divergence = str(error)
        return ReplayResult(path, seen, len(recorded), tuple(decisions), divergence, tuple(journal.record.apart))


def _check_replayable(path: Path, kinds: list[str]) -> None:
    if not kinds:
        raise JournalError(f"{path}: the journal is empty, there is nothing to replay")
    if kinds[-1] != "ended":
        raise JournalError(f"{path}: the run has not ended; resume it first, then replay it")
    if "resumed" in kinds:
        raise JournalError(
            f"{path}: the run was resumed with an experiment in doubt; what happened between its sittings is not in "
            "the record, so it cannot be replayed as one run"
        )
