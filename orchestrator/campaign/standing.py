"""How a run stands by what its campaign wants: the best so far for each target, before there is a recommendation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any, Generic, TypeVar

from orchestrator.campaign import goal
from orchestrator.campaign.header import loaded_from
from orchestrator.campaign.stopping import Group, groups
from orchestrator.campaign.targets import aimed
from orchestrator.config import CampaignConfig
from orchestrator.errors import LumiflowError
from orchestrator.history.run_state import Experiment, RunState

T = TypeVar("T")


def recorded_config(state: RunState) -> CampaignConfig | None:
    """The campaign of a run; None where its record does not say one that can be understood today."""
    try:
        return _config(_Same(state.header))
    except (LumiflowError, KeyError, TypeError, ValueError):
        return None


class _Same(Generic[T]):
    """A part of a run's state, known by its identity: while nothing has happened to it, it is the same object."""

    def __init__(self, it: T) -> None:
        self.it = it

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.it is self.it

    def __hash__(self) -> int:
        return id(self.it)


@lru_cache(maxsize=8)
def _config(header: _Same[Mapping[str, Any]]) -> CampaignConfig:
    """Read once for a run, though a daemon asks each second."""
    return loaded_from(header.it).config


def bests(state: RunState) -> Callable[[int], Experiment | None]:
    """Which experiment of a run is the best for each of its targets (from 1), see ``best_for``."""
    return partial(best_for, recorded_config(state), state)


def best_for(campaign: CampaignConfig | None, state: RunState, target: int) -> Experiment | None:
    """The accepted experiment that is best for one of the targets (from 1), whichever it was for.

    First the recipes that were all that is wanted each time they ran, then the others; of either the one whose mean
    readings are worth most. Without a campaign, the experiment nearest to the target.
    """
    if campaign is None:
        return state.best_for(target)
    found = _found(_Same(campaign), _Same(state.experiments), target)
    return state.best_for(target) if found is None else found.read  # the nearest, where no one was told of yet


@lru_cache(maxsize=8)
def _found(campaign: _Same[CampaignConfig], experiments: _Same[tuple[Experiment, ...]], target: int) -> Group | None:
    """Judged once for as long as no experiment has changed, for the same reason."""
    return best_group(aimed(campaign.it, target - 1), experiments.it)


def best_group(config: CampaignConfig, experiments: Sequence[Experiment]) -> Group | None:
    """The recipe that is best for a campaign with one target, with its replicates; the earliest of equals."""
    read = [group for group in groups(experiments) if any(each.accepted for each in group.experiments)]

    def merit(group: Group) -> tuple[bool, float, int]:
        return group.reached(config), _worth(config, group), -group.first.n

    return max(read, key=merit, default=None)


def _worth(config: CampaignConfig, group: Group) -> float:
    """What the mean readings of a recipe are worth to the planner; of a shape, how little its light is displaced."""
    seen = [each for each in group.experiments if each.accepted]
    if config.objective.shape is not None:
        misses = [miss for each in seen if (miss := each.miss_ev(config.objective.aim.target_ev)) is not None]
        return -math.fsum(misses) / len(misses) if misses else -math.inf
    worth = float(goal.judged(config).score_rows(goal.readings(config, seen)))
    return -math.inf if math.isnan(worth) else worth
