"""Several targets in one campaign: worked off one after the other, each to reproduced or to its share of the budget.

The journal says which target a proposal was for, and when a target was done with; what is present follows from that.
With one target nothing of this shows: its rules are those of `orchestrator.campaign.stopping`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.campaign.stopping import decide_stop, given_up, reproduced, spent, wanted_replicate
from orchestrator.config import CampaignConfig
from orchestrator.config.objective import PeakTarget
from orchestrator.history.run_state import Experiment, RunState, Stop

OUTCOME_WORDS: Mapping[str | None, str] = {
    "target_reproduced": "reached and reproduced",
    "budget_experiments": "not reached within its share of the experiments",
    "plateau": "given up where nothing got better",
    "out_of_reach": "out of reach, says the planner",
    None: "not done with",
}
"""How the end of one of several targets is called."""


@dataclass(frozen=True)
class Done:
    """That the campaign is done with a target, and goes on to the next: which (from 0), why, and in a sentence."""

    target: int
    reason: str
    detail: str

    @property
    def data(self) -> dict[str, Any]:
        """What the ``target_done`` event says."""
        return {"target": self.target + 1, "reason": self.reason, "detail": self.detail}


def targets_of(config: CampaignConfig) -> tuple[PeakTarget, ...]:
    """All targets of a campaign, in their order."""
    first = config.objective.aim
    return (
        first,
        *(
            PeakTarget.model_construct(
                target_ev=each.target_ev,
                tolerance_ev=first.tolerance_ev if each.tolerance_ev is None else each.tolerance_ev,
            )
            for each in config.objective.then
        ),
    )


def aimed(config: CampaignConfig, index: int) -> CampaignConfig:
    """The campaign with one of its targets as its only one (the last for an index beyond it)."""
    targets = targets_of(config)
    if len(targets) == 1:
        return config
    peak = targets[min(index, len(targets) - 1)]
    objective = config.objective.model_copy(update={"peak": peak, "then": ()})
    return config.model_copy(update={"objective": objective})


def present(config: CampaignConfig, state: RunState) -> CampaignConfig:
    """The campaign as it is now: with the target that it is at."""
    return aimed(config, len(state.targets_done))


def labels(config: CampaignConfig, index: int) -> dict[str, Any]:
    """What an event adds that is about one of several targets; nothing where there is one."""
    targets = targets_of(config)
    if len(targets) == 1:
        return {}
    index = min(index, len(targets) - 1)
    peak = targets[index]
    return {"target": index + 1, "target_ev": peak.target_ev, "tolerance_ev": peak.tolerance_ev}


def share(config: CampaignConfig, state: RunState) -> int:
    """How many experiments the present target may take: an equal part of what those before have left."""
    index = len(state.targets_done)
    before = sum(experiment.told and experiment.target <= index for experiment in state.experiments)
    left = max(config.budget.experiments - before, 0)
    return max(1, math.ceil(left / (len(targets_of(config)) - index)))


def decide(config: CampaignConfig, state: RunState, reactor_s: float) -> Stop | Done | None:
    """Before another experiment begins: whether the campaign is over, or done with its present target."""
    targets = targets_of(config)
    if len(targets) == 1:
        return decide_stop(config, state, reactor_s)
    index = len(state.targets_done)
    if index >= len(targets):
        return _end(config, state)
    now = aimed(config, index)
    hit = reproduced(now, state)
    if hit is not None:
        return Done(index, hit.reason, hit.detail)
    stop = spent(now, state, reactor_s)
    if stop is not None and stop.reason != "budget_experiments":
        return _over(config, state, stop)
    told = [experiment for experiment in state.experiments if experiment.told]
    mine = [experiment for experiment in told if experiment.target == index + 1]
    allowed = share(config, state)
    # A recipe on target is still repeated once the share is used: the search is over, the proof is not.
    if stop is not None or (len(mine) >= allowed and wanted_replicate(now, state) is None):
        return Done(index, "budget_experiments", f"{len(mine)} experiments were this target's share and are done")
    lost = given_up(now, state, index + 1)
    return None if lost is None else Done(index, lost.reason, lost.detail)


def all_tried(state: RunState) -> bool:
    """Whether a run ended because each of several targets is done with: its reason is that of the first one missed."""
    tried = 1 < len(state.targets) == len(state.targets_done)
    return tried and state.stop_reason in {done["reason"] for done in state.targets_done}


def replicate(config: CampaignConfig, state: RunState) -> Experiment | None:
    """The experiment that should be repeated next for the present target."""
    return wanted_replicate(present(config, state), state)


def _end(config: CampaignConfig, state: RunState) -> Stop:
    """All targets are done with."""
    missed = [done for done in state.targets_done if done["reason"] != "target_reproduced"]
    reason = missed[0]["reason"] if missed else "target_reproduced"
    return Stop(reason, _tally(config, state))


def _over(config: CampaignConfig, state: RunState, stop: Stop) -> Stop:
    """The campaign ends before all targets are done with."""
    return Stop(stop.reason, f"{stop.detail}; {_tally(config, state)}")


def _tally(config: CampaignConfig, state: RunState) -> str:
    targets = targets_of(config)
    reached = [done for done in state.targets_done if done["reason"] == "target_reproduced"]
    missed = [
        f"{peak.target_ev:g} eV"
        for index, peak in enumerate(targets)
        if all(done["target"] != index + 1 for done in reached)
    ]
    words = f"{len(reached)} of {len(targets)} targets were reached and reproduced"
    return words + (f", not {', '.join(missed)}" if missed else "")
