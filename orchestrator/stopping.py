"""When a campaign is over, and whether the next experiment explores or repeats. Pure functions of what was told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.config import CampaignConfig
from orchestrator.run_state import Experiment, RunState

STOP_REASONS = (
    "target_reproduced",
    "budget_experiments",
    "budget_time",
    "reagent",
    "plateau",
    "operator",
    "suspended",
    "fault",
)


@dataclass(frozen=True)
class Stop:
    """Why a campaign ends. ``detail`` is a sentence for a person.

    ``how``, ``by`` and ``asked_s``: of an end that an operator wanted through the daemon, the verb, the name, and the
    run's time at which it took effect if that was in the middle of something.
    """

    reason: str
    detail: str
    how: str = ""
    by: str = ""
    asked_s: float | None = None

    @property
    def data(self) -> dict[str, Any]:
        """What the ``stopping`` event says."""
        said = {"stop_reason": self.reason, "detail": self.detail}
        return {**said, "how": self.how, "by": self.by, "asked_s": self.asked_s} if self.how else said


@dataclass(frozen=True)
class Group:
    """One recipe and its replicates, in the order they were told."""

    experiments: tuple[Experiment, ...]

    @property
    def first(self) -> Experiment:
        return self.experiments[0]

    def inside(self, target_ev: float, tolerance_ev: float) -> bool:
        """True when every member's peak, with its standard error, lies inside the tolerance."""
        return all(on_target(member, target_ev, tolerance_ev) for member in self.experiments)


def on_target(experiment: Experiment, target_ev: float, tolerance_ev: float) -> bool:
    """Whether an experiment was accepted with its peak and that peak's standard error inside the tolerance.

    A reading on the very edge would be as likely outside as inside.
    """
    if not experiment.accepted or experiment.peak_ev is None:
        return False
    return abs(experiment.peak_ev - target_ev) + (experiment.peak_sd_ev or 0.0) <= tolerance_ev


def groups(experiments: Sequence[Experiment]) -> tuple[Group, ...]:
    """Told experiments gathered by recipe: an explored one with the replicates that name it."""
    members: dict[int, list[Experiment]] = {}
    for experiment in experiments:
        if experiment.told:
            base = experiment.n if experiment.of is None else experiment.of
            members.setdefault(base, []).append(experiment)
    return tuple(Group(tuple(group)) for group in members.values())


def wanted_replicate(config: CampaignConfig, state: RunState) -> Experiment | None:
    """The experiment that should be repeated next: on target, all of its replicates so far too, but too few of them."""
    target, tolerance = config.objective.peak.target_ev, config.objective.peak.tolerance_ev
    for group in reversed(groups(state.experiments)):
        if group.inside(target, tolerance) and len(group.experiments) < 1 + config.stop.reproduce:
            return group.first
    return None


def decide_stop(config: CampaignConfig, state: RunState, reactor_s: float) -> Stop | None:
    """Whether a campaign with one target is over before another experiment begins."""
    told = [experiment for experiment in state.experiments if experiment.told]
    return reproduced(config, state) or spent(config, state, reactor_s) or plateau(config, told, len(told))


def reproduced(config: CampaignConfig, state: RunState) -> Stop | None:
    """A recipe on target that was repeated often enough."""
    target, tolerance = config.objective.peak.target_ev, config.objective.peak.tolerance_ev
    for group in groups(state.experiments):
        if group.inside(target, tolerance) and len(group.experiments) >= 1 + config.stop.reproduce:
            peaks = [member.peak_ev for member in group.experiments if member.peak_ev is not None]
            mean = math.fsum(peaks) / len(peaks)
            return Stop(
                "target_reproduced",
                f"experiment {group.first.n} and {len(peaks) - 1} replicates lie within {1e3 * tolerance:g} meV of "
                f"{target:g} eV; their mean is {1e3 * (mean - target):+.2f} meV off",
            )
    return None


def spent(config: CampaignConfig, state: RunState, reactor_s: float) -> Stop | None:
    """A budget of the whole campaign that is used up."""
    told = [experiment for experiment in state.experiments if experiment.told]
    if len(told) >= config.budget.experiments:
        return Stop("budget_experiments", f"{len(told)} experiments were allowed and are done")
    if reactor_s >= config.budget.reactor_time_s:
        return Stop("budget_time", f"{config.budget.reactor_time_s / 3600:g} h of reactor time were allowed")
    for pump, allowed in (config.budget.reagent_ul or {}).items():
        used = state.reagent_ul.get(pump, 0.0)
        if used >= allowed:
            return Stop("reagent", f"{pump} has used {used / 1000:.2f} mL of the {allowed / 1000:.2f} mL allowed")
    return None


def plateau(config: CampaignConfig, told: Sequence[Experiment], mine: int) -> Stop | None:
    """No better peak for as many experiments as the file calls a plateau; the last ``mine`` were for this target."""
    rule = config.stop.plateau
    if rule is None or mine <= rule.experiments:
        return None
    target = config.objective.peak.target_ev

    def best(experiments: Sequence[Experiment]) -> float:
        errors = [abs(e.peak_ev - target) for e in experiments if e.accepted and e.peak_ev is not None]
        return min(errors, default=math.inf)

    before, now = best(told[: -rule.experiments]), best(told)
    if math.isfinite(before) and before - now < rule.improvement_ev:
        return Stop(
            "plateau",
            f"the best error has gone from {1e3 * before:.2f} to {1e3 * now:.2f} meV in {rule.experiments} experiments",
        )
    return None
