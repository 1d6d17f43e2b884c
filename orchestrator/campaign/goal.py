"""What a campaign's objective says of readings: whether they are all that is wanted, and what they come to.

Everything here is of one target: `orchestrator.campaign.targets` says which one that is.
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

    from orchestrator.history.run_state import Experiment
    from planners import PeakAimed, Shape


def judged(config: CampaignConfig) -> PeakAimed | Shape:
    """The objective by which recipes are compared that were run: an order without the margins of its search."""
    from planners import InOrder

    wanted = objective(config)
    return wanted.as_read if isinstance(wanted, InOrder) else wanted


def objective(config: CampaignConfig) -> PeakAimed | Shape:
    """The campaign's objective as the planner takes it."""
    from planners import Desirability, Desirable, InOrder, Objective, Shape, Step
    from planners.shape import LIGHT_SHARES, light_outputs

    wanted = config.objective
    if wanted.shape is not None:
        return Shape(light_outputs(wanted.shape.spectrum.light.energies_ev(LIGHT_SHARES)), wanted.shape.tolerance_ev)
    target_ev, tolerance_ev = wanted.aim.target_ev, wanted.aim.tolerance_ev
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
    if not experiment.accepted or experiment.peak_ev is None:
        return False
    shape = config.objective.shape
    if shape is not None:
        error = max(
            experiment.peak_sd_ev or 0.0, 0.0 if experiment.shape is None else experiment.shape["distance_sd_ev"]
        )
        return experiment.shape is not None and experiment.shape["distance_ev"] + error <= shape.tolerance_ev
    if not on_peak(config, experiment):
        return False
    return _plain(config) or bool(objective(config).reached(readings(config, [experiment])))


def on_peak(config: CampaignConfig, experiment: Experiment) -> bool:
    """Whether the peak of an experiment is within the tolerance, even with its standard error."""
    aim = config.objective.aim
    if experiment.peak_ev is None:
        return False
    return abs(experiment.peak_ev - aim.target_ev) + (experiment.peak_sd_ev or 0.0) <= aim.tolerance_ev


def more_words(config: CampaignConfig, experiments: Sequence[Experiment]) -> str:
    """What the means of accepted experiments come to beside the peak, to go on a sentence with; may be empty."""
    wanted = config.objective.shape
    compared = [each.shape for each in experiments if each.shape is not None]
    if wanted is not None and compared:
        off_mev = 1e3 * math.fsum(each["distance_ev"] for each in compared) / len(compared)
        at_most = f"at most {1e3 * wanted.tolerance_ev:.1f} meV wanted"
        return f"; light displaced by {off_mev:.1f} meV on average, {at_most}"
    words = "" if _plain(config) else objective(config).words(readings(config, experiments))
    return f"; {words}" if words else ""


def best_loss(config: CampaignConfig, experiments: Sequence[Experiment]) -> float:
    """How far the best of these is from what is wanted: its peak or light from the target in eV, or its overall
    desirability from 1. Infinite where none was accepted."""
    seen = [experiment for experiment in experiments if experiment.accepted and experiment.peak_ev is not None]
    if config.objective.desirability is None:
        target_ev = config.objective.aim.target_ev
        misses = (each.miss_ev(target_ev) for each in seen)
        return min((miss for miss in misses if miss is not None), default=math.inf)
    wanted = objective(config)
    return min((1.0 - max(float(wanted.score_rows(readings(config, [each]))), 0.0) for each in seen), default=math.inf)


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
    if wanted.shape is not None:
        of = "the target spectrum" if wanted.shape.file is None else wanted.shape.file
        return f"with light displaced from that of {of} by at most {1e3 * wanted.shape.tolerance_ev:g} meV on average"
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
    wanted = config.objective
    return wanted.desirability is None and wanted.in_order is None and wanted.shape is None


def _open(config: CampaignConfig) -> FwhmStep | YieldStep:
    step = config.objective.open_step
    if step is None:
        raise ValueError("every step of this objective has a bound")
    return step


def readings(config: CampaignConfig, experiments: Sequence[Experiment]) -> NDArray[np.float64]:
    """Means over accepted experiments of what the planner's objective is about; NaN where none of them has any."""
    import numpy as np

    columns = ([each.reading(output) for each in experiments] for output in objective(config).outputs)
    known = [[value for value in column if value is not None] for column in columns]
    return np.array([math.fsum(values) / len(values) if values else math.nan for values in known])
