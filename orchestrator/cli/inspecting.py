"""What ``status`` says of a run, from its journal alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.history.fold import fold, summary
from orchestrator.history.run_state import RunState
from orchestrator.journal.journal import Journal


@dataclass(frozen=True)
class Status:
    """A run as far as its journal goes."""

    journal: Path
    state: RunState
    events: int
    head: str

    def as_dict(self) -> dict[str, Any]:
        """The status for ``--json``."""
        doubt = self.state.in_doubt()
        return {
            **summary(self.state),
            "campaign": self.state.header.get("campaign_name"),
            "ended": self.state.ended,
            "in_doubt": None if doubt is None else doubt.n,
            "trips": [dict(trip) for trip in self.state.trips],
            "events": self.events,
            "head": self.head,
            "journal": str(self.journal),
        }

    def text(self) -> str:
        """The status for a person."""
        state = self.state
        if not self.events:
            log = self.journal.with_name(f"{self.journal.name}-wal")
            hint = "" if log.exists() else f"; if this is the copy of a journal in use, {log.name} belongs beside it"
            return f"{self.journal}: nothing has happened yet{hint}"
        doubt, best = state.in_doubt(), state.best
        ending = f"ended: {state.stop_reason}" if state.ended else "not ended"
        lines = [
            f"{state.header.get('campaign_name')}: {ending}" + (f" ({state.stop_detail})" if state.stop_detail else ""),
            f"{len(state.told)} experiments, {state.reactor_s / 3600:.2f} h of reactor time, {self.events} events, "
            f"chain intact up to {self.head[:12]}",
        ]
        if doubt is not None:
            lines.append(f"experiment {doubt.n} was being dosed when the record stops")
        if best is not None and best.peak_ev is not None and state.target_ev is not None:
            lines.append(
                f"best so far: experiment {best.n} at {best.peak_ev:.4f} eV, "
                f"{1e3 * (best.peak_ev - state.target_ev):+.2f} meV off"
                + (f", light displaced by {1e3 * best.shape['distance_ev']:.1f} meV" if best.shape else "")
            )
        lines += [f"interlock: {trip['interlock']} on {trip['device']}" for trip in state.trips]
        return "\n".join(lines)


def journal_status(path: Path) -> Status:
    """Read and verify a journal. Raises JournalError for one that cannot be trusted."""
    with Journal.open(path, readonly=True) as journal:
        events = tuple(journal.events())
        return Status(path, fold(events), len(events), journal.head)
