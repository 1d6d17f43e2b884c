"""When a campaign is over, and whether the next experiment explores or repeats. Pure functions of what was told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.campaign import goal
from orchestrator.config import CampaignConfig
from orchestrator.history.run_state import Experiment, RunState, Stop


@dataclass(frozen=True)
class Group:
    """One recipe and its replicates, in the order they were told."""

    experiments: tuple[Experiment, ...]

    @property
    def first(self) -> Experiment:
        return self.experiments[0]

    @property
    def read(self) -> Experiment:
        """The first that gave a reading. Raises StopIteration where none has."""
        return next(member for member in self.experiments if member.accepted)

    def reached(self, config: CampaignConfig) -> bool:
        """True when every member is all that is wanted."""
        return all(goal.reached(config, member) for member in self.experiments)


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
    for group in reversed(_good_enough(config, state)):
        if len(group.experiments) < 1 + config.stop.reproduce:
            return group.first
    return None


def _good_enough(config: CampaignConfig, state: RunState) -> tuple[Group, ...]:
    """The recipes that were all that is wanted each time. Where the last of an order has no bound: the best of them,
    once no newer experiment has bettered it for as long as the order's patience."""
    good = tuple(group for group in groups(state.experiments) if group.reached(config))
    if config.objective.open_step is None or not good:
        return good
    patience, improvement = goal.patience(config)
    explored = [experiment for experiment in state.experiments if experiment.told and experiment.of is None]
    values = [goal.open_value(config, experiment) for experiment in explored]
    before, newest = values[:-patience], values[-patience:]
    if max(before, default=-math.inf) == -math.inf or max(newest) - max(before) >= improvement:
        return ()
    means = {group.first.n: goal.open_mean(config, group.experiments) for group in good}
    # Of those that are as good, the one that was repeated most: its proof is furthest on.
    best = [group for group in good if means[group.first.n] > max(means.values()) - improvement]
    return (max(best, key=lambda group: (len(group.experiments), means[group.first.n])),)


def decide_stop(config: CampaignConfig, state: RunState, reactor_s: float) -> Stop | None:
    """Whether a campaign with one target is over before another experiment begins."""
    return reproduced(config, state) or spent(config, state, reactor_s) or given_up(config, state, state.target)


def reproduced(config: CampaignConfig, state: RunState) -> Stop | None:
    """A recipe on target that was repeated often enough."""
    target, tolerance = config.objective.aim.target_ev, config.objective.aim.tolerance_ev
    for group in _good_enough(config, state):
        if len(group.experiments) >= 1 + config.stop.reproduce:
            peaks = [member.peak_ev for member in group.experiments if member.peak_ev is not None]
            mean = math.fsum(peaks) / len(peaks)
            if config.objective.shape is not None:
                words = goal.more_words(config, group.experiments)
                return Stop("target_reproduced", f"{_members(group)}{words}")
            lie, their = ("lie", "their mean") if len(peaks) > 1 else ("lies", "it")
            return Stop(
                "target_reproduced",
                f"{_members(group)} {lie} within {1e3 * tolerance:.4g} meV of {target:g} eV; "
                f"{their} is {1e3 * (mean - target):+.2f} meV off"
                f"{goal.more_words(config, group.experiments)}",
            )
    return None


def _members(group: Group) -> str:
    again = len(group.experiments) - 1
    first = f"experiment {group.first.n}"
    return first if not again else f"{first} and its replicate" if again == 1 else f"{first} and {again} replicates"


def spent(config: CampaignConfig, state: RunState, reactor_s: float) -> Stop | None:
    """A budget of the whole campaign that is used up."""
    told = [experiment for experiment in state.experiments if experiment.told]
    if len(told) >= config.budget.experiments:
        return Stop("budget_experiments", f"{len(told)} experiments were allowed and are done")
    if reactor_s >= config.budget.reactor_time_s:
        return Stop("budget_time", f"{config.budget.reactor_time_s / 3600:g} h of reactor time were allowed")
    for pump, allowed in (config.budget.reagent_ul or {}).items():
        used = state.spent_ul.get(pump, 0.0)  # with what was debited because nobody counted it
        if used >= allowed:
            why = "budget_reagent" if state.reckoning >= 2 else "reagent"
            return Stop(why, f"{pump} has used {used / 1000:.2f} mL of the {allowed / 1000:.2f} mL allowed")
    return None


def given_up(config: CampaignConfig, state: RunState, target: int) -> Stop | None:
    """Whether one of the targets (from 1) is given up, as the file says: on a plateau, or out of reach."""
    return _plateau(config, state, target) or _out_of_reach(config, state, target)


def _out_of_reach(config: CampaignConfig, state: RunState, target: int) -> Stop | None:
    """The planner has said of so many proposals in a row that no recipe reaches the target, and none has since."""
    rule = config.stop.out_of_reach
    explored = [each for each in state.experiments if each.target == target and each.of is None]
    if rule is None or len(explored) < rule or wanted_replicate(config, state) is not None:
        return None
    if not state.out_of_reach(target):
        return None
    if not all(each.out_of_reach for each in explored[-rule:]):
        return None
    times = f"said before each of the last {rule} experiments" if rule > 1 else "said before the last experiment"
    return Stop("out_of_reach", f"{explored[-1].out_of_reach.rstrip('.')}; {times}")


def _plateau(config: CampaignConfig, state: RunState, target: int) -> Stop | None:
    """Nothing better for as many experiments as the file calls a plateau, none of them of the initial design."""
    rule = config.stop.plateau
    told = [experiment for experiment in state.experiments if experiment.told]
    mine = [experiment for experiment in told if experiment.target == target]
    if rule is None or len(mine) <= rule.experiments:
        return None
    first = config.planner.initial if state.reckoning >= 3 else 0
    if sum(not (each.phase == "initial" and each.n <= first) for each in mine) < rule.experiments:
        return None
    before, now = (goal.best_loss(config, experiments) for experiments in (told[: -rule.experiments], told))
    if not math.isfinite(before):
        return None
    if rule.desirability is not None and before - now < rule.desirability:
        words = f"the best overall desirability has gone from {1.0 - before:.3f} to {1.0 - now:.3f}"
    elif rule.improvement_ev is not None and before - now < rule.improvement_ev:
        words = f"the best error has gone from {1e3 * before:.2f} to {1e3 * now:.2f} meV"
    else:
        return None
    return Stop("plateau", f"{words} in {rule.experiments} experiments")
