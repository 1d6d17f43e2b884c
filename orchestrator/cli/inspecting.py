"""What ``status`` says of a run, from its journal alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.campaign.goal import more_words
from orchestrator.campaign.standing import best_for, bests, recorded_config
from orchestrator.campaign.targets import OUTCOME_WORDS, aimed
from orchestrator.config import CampaignConfig
from orchestrator.history.fold import fold
from orchestrator.history.run_state import Experiment, RunState
from orchestrator.history.summary import summary
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
            **summary(self.state, bests(self.state)),
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
        doubt = state.in_doubt()
        ending = f"ended: {state.stop_reason}" if state.ended else "not ended"
        lines = [
            f"{state.header.get('campaign_name')}: {ending}" + (f" ({state.stop_detail})" if state.stop_detail else ""),
            f"{len(state.told)} {'experiment' if len(state.told) == 1 else 'experiments'}, "
            f"{state.reactor_s / 3600:.2f} h of reactor time, {self.events} events, "
            f"chain intact up to {self.head[:12]}",
        ]
        if doubt is not None:
            lines.append(f"experiment {doubt.n} was being dosed when the record stops")
        lines += target_lines(state)
        lines += [f"interlock: {trip['interlock']} on {trip['device']}" for trip in state.trips]
        return "\n".join(lines)


def target_lines(state: RunState) -> list[str]:
    """For each target what is recommended, or else the best so far as the campaign judges it."""
    config, several = recorded_config(state), len(state.targets) > 1
    lines = []
    for target in range(1, len(state.targets) + 1):
        found = _recommended(config, state, target) or _best(config, state, target)
        if not several:
            lines += [found] if found else []
            continue
        reason = next((str(done["reason"]) for done in state.targets_done if done["target"] == target), None)
        count = sum(experiment.target == target for experiment in state.told)
        done = f"{count} experiment{'' if count == 1 else 's'}"
        head = f"{state.aim(target, 'target_ev'):g} eV ({OUTCOME_WORDS.get(reason, reason)}, {done})"
        lines.append(f"{head}: {found or 'no reading yet'}")
    return lines


def _recommended(config: CampaignConfig | None, state: RunState, target: int) -> str:
    advice = state.recommended(target)
    if advice is None:
        return ""
    units = {str(entry["name"]): str(entry.get("unit", "")) for entry in state.inputs}
    named = [(state.named(name, value), units.get(name, "")) for name, value in advice.recipe.items()]
    values = [value if isinstance(value, str) else f"{value:.4g} {unit}".rstrip() for value, unit in named]
    recipe = ", ".join(f"{name} {value}" for name, value in zip(advice.recipe, values, strict=True))
    same = [each for each in state.experiments if each.accepted and dict(each.recipe) == dict(advice.recipe)]
    measured, error_ev = (advice.measured or {}).get("peak_ev"), advice.error_ev
    if measured is None or error_ev is None:
        return f"recommended by the model, not measured: {recipe}"
    return f"recommended: {recipe}; {_reading(float(measured), error_ev)}{_more(config, same, target)}"


def _best(config: CampaignConfig | None, state: RunState, target: int) -> str:
    best, target_ev = best_for(config, state, target), state.aim(target, "target_ev")
    if best is None or best.peak_ev is None or target_ev is None:
        return ""
    reading = _reading(best.peak_ev, best.peak_ev - target_ev)
    return f"best so far: experiment {best.n} at {reading}{_more(config, [best], target)}"


def _reading(peak_ev: float, error_ev: float) -> str:
    return f"{peak_ev:.4f} eV, {1e3 * error_ev:+.2f} meV off"


def _more(config: CampaignConfig | None, experiments: Sequence[Experiment], target: int) -> str:
    """What readings of one recipe come to beside the peak, where the objective is about more."""
    shapes = [each.shape["distance_ev"] for each in experiments if each.shape is not None]
    if shapes:
        return f", light displaced by {1e3 * sum(shapes) / len(shapes):.1f} meV"
    return "" if config is None or not experiments else more_words(aimed(config, target - 1), experiments)


def journal_status(path: Path) -> Status:
    """Read and verify a journal. Raises JournalError for one that cannot be trusted."""
    with Journal.open(path, readonly=True) as journal:
        events = tuple(journal.events())
        return Status(path, fold(events), len(events), journal.head)
