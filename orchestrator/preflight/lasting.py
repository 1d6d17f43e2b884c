"""For how many experiments the syringes last: what is expected to flow from each while a campaign goes on.

First the line is filled for the blank. Every experiment takes its price, and solvent flows slowly before it while the
temperature changes. Some experiments are preceded by a sweep with a look at the reference: those that are due for it,
and all replicates. Of what is in a syringe, the flushes at the end keep their part.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from statistics import fmean
from typing import TYPE_CHECKING

from orchestrator.campaign.targets import targets_of
from orchestrator.config.rig import Flush
from orchestrator.errors import Problem
from orchestrator.experiment.upkeep import fill_at_most_ul, fill_expected_ul
from orchestrator.recipes.exposures import dim_s, reference_s
from orchestrator.recipes.plumbing import APPROACH_S, FlowPlan, duration, price, stock_in, sweep_s
from orchestrator.rig.rig import flushes_ul
from orchestrator.yaml_source import Document

if TYPE_CHECKING:
    from orchestrator.config import CampaignConfig, RigConfig

DIM_SHARE = 0.5
"""Of recipes that spread out, about so many give so little light that they are read at the longest exposure."""
_LEAST_TIMES = 512
"""Experiments over which sweeps for the reference are counted."""


@dataclass(frozen=True)
class Use:
    """What is expected to flow from one syringe, in µL.

    ``kept_ul``: stays for the flushes at the end. ``fill_ul``: goes before the first experiment, and ``fill_needs_ul``
    has to be there for it. ``each_ul``: an experiment with what flows before it; ``dim_ul``: more for one, on average,
    because some are dim. ``ready_ul``: has to be there for an experiment to begin. ``replicate_ul``: more for a
    replicate, of which there is none among the first ``searched`` experiments and the share ``replicates`` later.
    """

    kept_ul: float
    fill_ul: float
    fill_needs_ul: float
    each_ul: float
    dim_ul: float
    ready_ul: float
    replicate_ul: float
    searched: int
    replicates: float

    @property
    def once_ul(self) -> float:
        """What does not depend on how many experiments there are."""
        return self.kept_ul + self.fill_ul

    def total_ul(self, experiments: int) -> float:
        """All of it, for so many experiments."""
        later = max(experiments - self.searched, 0)
        return self.once_ul + experiments * (self.each_ul + self.dim_ul) + later * self.replicates * self.replicate_ul

    def lasts(self, held_ul: float) -> float:
        """For how many experiments a syringe lasts that holds so much, of which the flushes keep their part."""
        return self._count(self._beyond_first_ul(held_ul), 1.0) if self._begins(held_ul) else 0.0

    def lasts_at_most(self, held_ul: float) -> float:
        """The same where all experiments are bright, and none is a replicate."""
        if not self._begins(held_ul):
            return 0.0
        return 1.0 + self._beyond_first_ul(held_ul) / self.each_ul if self.each_ul > 0.0 else math.inf

    def used_up_by(self, allowed_ul: float) -> float:
        """The experiment that uses the last of what is allowed. No flush counts: the run has ended before it."""
        count = self._count(max(allowed_ul - self.fill_ul, 0.0), 0.0)
        return count if math.isinf(count) else math.ceil(count)

    def _begins(self, held_ul: float) -> bool:
        """Whether the line is filled and an experiment begins."""
        return held_ul >= self.kept_ul + self.fill_needs_ul and self._beyond_first_ul(held_ul) >= 0.0

    def _beyond_first_ul(self, held_ul: float) -> float:
        """What is left beside all that has to be there for the first experiment."""
        return held_ul - self.once_ul - self.ready_ul

    def _count(self, spare_ul: float, begun: float) -> float:
        """How many experiments there are with those that ``spare_ul`` is enough for beyond the ``begun`` ones."""
        each_ul = self.each_ul + self.dim_ul
        if each_ul <= 0.0:
            return math.inf
        count = begun + spare_ul / each_ul
        if count <= self.searched:
            return count
        return self.searched + (count - self.searched) * each_ul / (each_ul + self.replicates * self.replicate_ul)


def uses(campaign: CampaignConfig, rig: RigConfig, plans: Sequence[FlowPlan]) -> dict[str, Use]:
    """By pump, from recipes that spread out; of an empty list, what flows without any experiment."""
    solvent = rig.plumbing.solvent_pump
    prices = [price(campaign, rig, plan) for plan in plans]
    due = _due_share(campaign, rig, plans)
    swept_ul = sweep_s(rig, 1.0) / 60.0
    look_ul = swept_ul + _mean([plan.total_flow_ul_min for plan in plans]) * reference_s(campaign, rig) / 60.0
    idle_ul = rig.limits.total_flow_ul_min.low * APPROACH_S / 60.0
    count = campaign.budget.experiments
    searched = min(campaign.planner.initial + 1, count)
    later = count - searched
    wanted = campaign.stop.reproduce * len(targets_of(campaign))
    kept = flushes_ul(rig)
    made: dict[str, Use] = {}
    for pump in rig.pumps:
        clean = pump == solvent
        price_ul = _mean([cost[pump] for cost in prices])
        flow_ul_min = _mean([plan.flows_ul_min[pump] for plan in plans])
        made[pump] = Use(
            kept_ul=kept.get(pump, 0.0),
            fill_ul=fill_expected_ul(campaign, rig) if clean else 0.0,
            fill_needs_ul=fill_at_most_ul(campaign, rig) if clean else 0.0,
            each_ul=price_ul + (idle_ul + due * look_ul if clean else 0.0),
            dim_ul=DIM_SHARE * flow_ul_min * dim_s(campaign, rig) / 60.0,
            ready_ul=price_ul + (idle_ul + swept_ul if clean else 0.0),
            replicate_ul=(1.0 - due) * look_ul if clean else 0.0,
            searched=searched,
            replicates=min(wanted / later, 1.0) if later else 0.0,
        )
    return made


def _due_share(campaign: CampaignConfig, rig: RigConfig, plans: Sequence[FlowPlan]) -> float:
    """How many experiments are preceded by a sweep because the reference has not been looked at for its interval."""
    times_s = [duration(campaign, rig, plan).total_s + APPROACH_S for plan in plans]
    since_s, due = 0.0, 0
    for time_s in islice(cycle(times_s), _LEAST_TIMES):
        if since_s >= campaign.measure.reference_interval_s:
            since_s, due = 0.0, due + 1
        since_s += time_s
    return due / _LEAST_TIMES


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else 0.0


def too_little(
    document: Document, rig_document: Document, campaign: CampaignConfig, rig: RigConfig, used: Mapping[str, Use]
) -> Iterator[Problem]:
    """Syringes that do not last until the first experiment that the planner chooses."""
    for pump, use in used.items():
        held_ul = rig.pump(pump).holds_ul
        most = use.lasts_at_most(held_ul)
        if most < 1.0:
            yield _nothing_begins(document, rig_document, rig, pump, _holds(campaign, rig, pump), use)
        elif most < use.searched:
            message = f"{_holds(campaign, rig, pump)} last for about {experiments(most)} at the most"
            yield document.problem(("budget", "experiments"), message, allowed=f"about {math.floor(most)}")


def runs_dry(
    document: Document, campaign: CampaignConfig, rig: RigConfig, used: Mapping[str, Use]
) -> Iterator[Problem]:
    """Syringes that last for a part of the budget."""
    count = campaign.budget.experiments
    for pump, use in used.items():
        held_ul = rig.pump(pump).holds_ul
        lasts = use.lasts(held_ul)
        if lasts < count and use.lasts_at_most(held_ul) >= use.searched:
            message = f"{_holds(campaign, rig, pump)} last for about {math.floor(lasts)} of {experiments(count)}"
            yield document.problem(("budget", "experiments"), message, at_key=True, offending="")


def experiments(count: float) -> str:
    """So many whole experiments, in words."""
    whole = math.floor(count)
    return f"{whole} experiment" if whole == 1 else f"{whole} experiments"


def _nothing_begins(
    document: Document, rig_document: Document, rig: RigConfig, pump: str, holds: str, use: Use
) -> Problem:
    """What a syringe is too small for before one experiment is over, at the flush that does not fit if there is one."""
    held_ul = rig.pump(pump).holds_ul
    wanted = [f"the flush at the end may take {in_ml(use.kept_ul)}"] if use.kept_ul > 0.0 else []
    if use.kept_ul <= held_ul:
        fits = use.kept_ul + use.fill_needs_ul <= held_ul
        if use.fill_ul > 0.0:
            fill = f"about {in_ml(use.fill_ul)}" if fits else f"up to {in_ml(use.fill_needs_ul)}"
            wanted.append(f"filling the line for the blank {fill}")
        if fits:
            wanted.append(f"an experiment about {in_ml(use.ready_ul)}")
    message = f"{holds} do not last for one experiment: {' and '.join(wanted)}"
    for index, step in enumerate(rig.safe_sequence):
        if isinstance(step, Flush) and step.pump == pump:
            path: tuple[str | int, ...] = ("safe_sequence", index, "at_most")
            message += "; a larger syringe or a shorter at_most leaves more"
            return rig_document.problem(path, message, at_key=True, offending="")
    return document.problem(("budget", "experiments"), message, at_key=True, offending="")


def in_ml(volume_ul: float) -> str:
    """A volume in words."""
    return f"{volume_ul / 1000:.4g} ml"


def _holds(campaign: CampaignConfig, rig: RigConfig, pump: str) -> str:
    return f"{in_ml(rig.pump(pump).holds_ul)} in the syringe of {pump!r} ({stock_in(campaign, rig, pump)})"
