"""What a campaign's objective says of readings: whether they are all that is wanted, and what they come to.

Everything here is of one target: `orchestrator.targets` says which one that is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.config import CampaignConfig
from orchestrator.config.objective import FwhmStep, YieldStep, bound_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.run_state import Experiment
    from planners import PeakAimed


def objective(config: CampaignConfig) -> PeakAimed:
    """The campaign's objective as the planner takes it."""
    from planners import Desirability, Desirable, InOrder, Objective, Step

    wanted = config.objective
    target_ev, tolerance_ev = wanted.peak.target_ev, wanted.peak.tolerance_ev
    if wanted.in_order is not None:
        steps = [
            Step("fwhm_ev" if isinstance(step, FwhmStep) else "quantum_yield", bound_of(step))
            for step in wanted.in_order
        ]
        return InOrder(target_ev, tolerance_ev, tuple(steps))
    said = wanted.desirability
    if said is None:
        return Objective(
            target_peak_ev=target_ev,
            tolerance_ev=tolerance_ev,
            fwhm_weight=wanted.fwhm.weight,
            fwhm_scale_ev=wanted.fwhm.scale_ev,
            yield_weight=wanted.quantum_yield.weight,
        )
    fwhm, bright = said.fwhm, said.quantum_yield
    return Desirability(
        target_ev,
        tolerance_ev,
        said.peak.none_beyond_ev,
        said.enough,
        fwhm=None if fwhm is None else Desirable(fwhm.full_at_ev, fwhm.none_at_ev, fwhm.weight, fwhm.exponent),
        quantum_yield=None
        if bright is None
        else Desirable(bright.full_at, bright.none_at, bright.weight, bright.exponent),
        peak_weight=said.peak.weight,
        peak_exponent=said.peak.exponent,
    )


def reached(config: CampaignConfig, experiment: Experiment) -> bool:
    """Whether an experiment was accepted and is all that is wanted, its peak even with that peak's standard error.

    A peak on the very edge of the tolerance would be as likely outside as inside.
    """
    peak = config.objective.peak
    if not experiment.accepted or experiment.peak_ev is None:
        return False
    if abs(experiment.peak_ev - peak.target_ev) + (experiment.peak_sd_ev or 0.0) > peak.tolerance_ev:
        return False
    return _plain(config) or bool(objective(config).reached(readings([experiment])))


def more_words(config: CampaignConfig, experiments: Sequence[Experiment]) -> str:
    """What the means of accepted experiments come to beside the peak, to go on a sentence with; may be empty."""
    words = "" if _plain(config) else objective(config).words(readings(experiments))
    return f"; {words}" if words else ""


def best_loss(config: CampaignConfig, experiments: Sequence[Experiment]) -> float:
    """How far the best of these is from what is wanted: its peak from the target in eV, or its overall desirability
    from 1. Infinite where none was accepted."""
    seen = [experiment for experiment in experiments if experiment.accepted and experiment.peak_ev is not None]
    if config.objective.desirability is None:
        target_ev = config.objective.peak.target_ev
        return min((abs((each.peak_ev or 0.0) - target_ev) for each in seen), default=math.inf)
    wanted = objective(config)
    return min((1.0 - max(float(wanted.score_rows(readings([each]))), 0.0) for each in seen), default=math.inf)


def patience(config: CampaignConfig) -> tuple[int, float]:
    """Of an order that ends without a bound: after how many experiments that better it by less than what its last step
    is as good as it gets."""
    step = _open(config)
    return step.patience, step.improvement_ev if isinstance(step, FwhmStep) else step.improvement


def open_value(config: CampaignConfig, experiment: Experiment) -> float:
    """The value of the step without a bound, larger is better; minus infinity where a bound before it is not met."""
    if not reached(config, experiment):
        return -math.inf
    value = -(experiment.fwhm_ev or math.inf) if isinstance(_open(config), FwhmStep) else experiment.quantum_yield
    return -math.inf if value is None else value


def open_mean(config: CampaignConfig, experiments: Sequence[Experiment]) -> float:
    """The mean of `open_value`."""
    return math.fsum(open_value(config, experiment) for experiment in experiments) / len(experiments)


def sentence(config: CampaignConfig) -> str:
    """What is wanted beside the peak, in words; empty where width and yield have the weights of a plain objective."""
    wanted = config.objective
    if wanted.in_order is not None:
        return "then, in this order, " + ", ".join(_step_words(step) for step in wanted.in_order)
    said = wanted.desirability
    if said is None:
        return ""
    parts = [f"peak {said.peak.weight:g}"]
    parts += [f"width {said.fwhm.weight:g}"] if said.fwhm is not None else []
    parts += [f"yield {said.quantum_yield.weight:g}"] if said.quantum_yield is not None else []
    return f"with an overall desirability of at least {said.enough:g} (weights: {', '.join(parts)})"


def _step_words(step: FwhmStep | YieldStep) -> str:
    if isinstance(step, FwhmStep):
        return (
            "a width as small as possible"
            if step.at_most_ev is None
            else f"a width of at most {1e3 * step.at_most_ev:g} meV"
        )
    return (
        "a yield as high as possible" if step.at_least is None else f"a yield of at least {100.0 * step.at_least:g} %"
    )


def _plain(config: CampaignConfig) -> bool:
    return config.objective.desirability is None and config.objective.in_order is None


def _open(config: CampaignConfig) -> FwhmStep | YieldStep:
    step = config.objective.open_step
    if step is None:
        raise ValueError("every step of this objective has a bound")
    return step


def readings(experiments: Sequence[Experiment]) -> NDArray[np.float64]:
    """Mean peak, width and yield of experiments; NaN where none of them has any."""
    import numpy as np

    columns = zip(*((each.peak_ev, each.fwhm_ev, each.quantum_yield) for each in experiments), strict=True)
    known = [[value for value in column if value is not None] for column in columns]
    return np.array([math.fsum(values) / len(values) if values else math.nan for values in known])
