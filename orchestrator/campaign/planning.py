"""Between the journal and the planner: observations out of what was told, proposals into what is journalled."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from orchestrator.campaign.archives import of_header
from orchestrator.campaign.goal import objective
from orchestrator.campaign.targets import aimed, labels
from orchestrator.config import UNITS, CampaignConfig, Input, RigConfig
from orchestrator.errors import UsageRefused
from orchestrator.history.run_state import Experiment, RunState
from orchestrator.recipes.many_recipes import ManyRecipes, feasible_mask
from orchestrator.recipes.plumbing import Unreachable, duration, price, pump_flows, stock_in

if TYPE_CHECKING:
    from planners import (
        Interval,
        Observation,
        OutOfReach,
        Price,
        Proposal,
        Recommendation,
        Request,
        SearchSpace,
        Strategy,
        Variable,
    )


def search_space(config: CampaignConfig) -> SearchSpace:
    """The campaign's inputs as planner variables, in the order of the file."""
    from planners import SearchSpace

    return SearchSpace(tuple(_variable(name, entry) for name, entry in config.inputs.items()))


def _variable(name: str, entry: Input) -> Variable:
    from planners import Variable

    unit = UNITS[entry.kind]
    if entry.levels:
        return Variable(name, kind="categorical", levels=entry.levels)
    if entry.choices:
        return Variable(name, scale=entry.scale, kind="discrete", unit=unit, values=entry.choices)
    return Variable(name, entry.low, entry.high, scale=entry.scale, unit=unit)


def build_strategy(config: CampaignConfig) -> Strategy:
    """The strategy that the campaign file names. Raises UsageRefused for settings that it does not take."""
    from planners import PlannerError, strategy

    settings: dict[str, int | str] = {**config.planner.settings}
    if config.planner.acquisition != "automatic":
        settings["acquisition"] = config.planner.acquisition
    try:
        return strategy(config.planner.strategy, **settings)
    except PlannerError as error:
        raise UsageRefused(f"planner: {error}") from error


def request(config: CampaignConfig, rig: RigConfig, state: RunState, *, target: int | None = None) -> Request:
    """Everything that a proposal depends on: configuration, what was told, what is pending, the seed.

    ``target``: which of the campaign's targets it is about, from 0; if not given, the one that the campaign is at.
    """
    from planners import Request

    config = aimed(config, len(state.targets_done) if target is None else target)
    names = tuple(config.inputs)
    return Request(
        space=search_space(config),
        objective=objective(config),
        observations=tuple(
            _observation(config, names, e) for e in state.experiments if e.told or e.refused is not None
        ),
        pending=tuple(
            tuple(e.recipe[name] for name in names) for e in state.experiments if not e.told and e.refused is None
        ),
        seed=config.seed,
        initial=config.planner.initial,
        feasible=feasible_mask(config, rig, names),
        price=price_of(config, rig),
        archives=of_header(state.header),
    )


LEAST_READINGS = 2
"""Of an output that was read less often no model is made, and what stands in its place is no prediction."""

LEAST_UL = 1.0
"""No experiment counts as cheaper than this: one of nothing but solvent would be worth any number of others."""


def price_of(config: CampaignConfig, rig: RigConfig) -> Price | None:
    """What the planner shall hold improvement against; None where nothing."""
    import numpy as np

    from planners import Price

    if config.planner.cost == "none":
        return None
    many = ManyRecipes(config, rig, tuple(config.inputs))
    if config.planner.cost == "per_ul":
        return Price("µL", lambda rows: np.maximum(many.reagents_ul(rows), LEAST_UL))
    return Price("minute", lambda rows: many.dosing_s(rows) / 60.0)


def cost_data(config: CampaignConfig, rig: RigConfig, recipe: Mapping[str, float]) -> dict[str, Any] | None:
    """What an experiment is expected to take, as the journal keeps it; None for a recipe that cannot be set."""
    try:
        plan = pump_flows(config, rig, recipe)
    except Unreachable:
        return None
    return {"reagent_ul": price(config, rig, plan), "dosing_s": duration(config, rig, plan).total_s}


def cost_words(config: CampaignConfig, rig: RigConfig, cost: Mapping[str, Any] | None) -> str:
    """A cost as a sentence, by stock."""
    if cost is None:
        return ""
    by_stock: dict[str, float] = {}
    for pump, volume in cost["reagent_ul"].items():
        stock = stock_in(config, rig, pump)
        by_stock[stock] = by_stock.get(stock, 0.0) + volume
    parts = ", ".join(f"{volume:.0f} µL {stock}" for stock, volume in by_stock.items() if volume > 0.0)
    return f" It takes {cost['dosing_s'] / 60.0:.1f} min and {parts}."


def _observation(config: CampaignConfig, names: tuple[str, ...], experiment: Experiment) -> Observation:
    """What the planner hears of one experiment: its numbers if they were accepted, else that it failed."""
    from planners import LIGHT_OUTPUTS, Observation

    x = tuple(experiment.recipe[name] for name in names)
    if not experiment.accepted or (config.objective.shape is not None and experiment.shape is None):
        return Observation(x, None, None, None, None, failed=True)
    if config.objective.shape is not None:
        light = (experiment.reading(output) for output in LIGHT_OUTPUTS)
        values = tuple(math.nan if value is None else value for value in light)
        return Observation(x, values=values, peak_sd_ev=experiment.peak_sd_ev)
    return Observation(
        x, experiment.peak_ev, experiment.fwhm_ev, experiment.quantum_yield, experiment.peak_sd_ev, failed=False
    )


def proposed_data(
    config: CampaignConfig, rig: RigConfig, state: RunState, n: int, proposal: Proposal
) -> dict[str, Any]:
    """A proposal as the journal keeps it, with what it is expected to cost."""
    recipe = dict(zip(config.inputs, proposal.x, strict=True))
    cost = cost_data(config, rig, recipe)
    return {
        "n": n,
        "kind": "explore",
        "of": None,
        "recipe": recipe,
        "phase": proposal.phase,
        "predicted": intervals(proposal.predicted, read_outputs(config, state)),
        "probability_feasible": proposal.probability_feasible,
        "acquisition": proposal.acquisition,
        "acquisition_value": proposal.acquisition_value,
        "compared": proposal.compared,
        "reason": proposal.reason + cost_words(config, rig, cost),
        "cost": cost,
        "strategy": proposal.strategy,
        **_verdict(config, proposal.out_of_reach),
        **labels(config, len(state.targets_done)),
    }


def _verdict(config: CampaignConfig, verdict: OutOfReach | None) -> dict[str, Any]:
    """That the target is out of reach, with the evidence; nothing where the planner did not say so."""
    if verdict is None:
        return {}
    between = {"mean": verdict.interval.mean, "low": verdict.interval.low, "high": verdict.interval.high}
    return {
        "out_of_reach": {
            "reason": verdict.reason,
            "looked_at": verdict.remaining,
            "nearest": dict(zip(config.inputs, verdict.nearest, strict=True)),
            "predicted": between,
            "missing_ev": verdict.missing,
        }
    }


def replicate_data(
    config: CampaignConfig, rig: RigConfig, state: RunState, n: int, original: Experiment
) -> dict[str, Any]:
    """A repeat of an experiment that met the target, as the journal keeps it."""
    cost = original.cost or cost_data(config, rig, original.recipe)
    return {
        "n": n,
        "kind": "replicate",
        "of": original.n,
        "recipe": dict(original.recipe),
        "phase": "replicate",
        "predicted": {},
        "probability_feasible": None,
        "acquisition": "",
        "acquisition_value": None,
        "compared": 0,
        "reason": f"experiment {original.n} met the target; is it reproduced?" + cost_words(config, rig, cost),
        "cost": cost,
        "strategy": "conductor",
        **labels(config, len(state.targets_done)),
    }


def recommendation_request(config: CampaignConfig, rig: RigConfig, state: RunState) -> Request:
    """Everything that the next recommendation depends on: there is one for each target, in their order."""
    return request(config, rig, state, target=len(state.recommendations))


def read_or_archived(state: RunState) -> bool:
    """Whether there may be anything to recommend from: a reading, or earlier experiments to learn from."""
    return state.has_reading or bool(state.header.get("archives"))


def recommendation(strategy: Strategy, request: Request) -> Recommendation | None:
    """What the strategy recommends; None before the first reading where it has no archives to learn enough from.

    Raises PlannerError for what it cannot answer otherwise.
    """
    from planners import PlannerError

    try:
        return strategy.recommend(request)
    except PlannerError:
        if any(not observation.failed for observation in request.observations):
            raise
        return None


def recommended_data(
    config: CampaignConfig, state: RunState, recommendation: Recommendation, names: tuple[str, ...]
) -> dict[str, Any]:
    """A recommendation as the journal keeps it, with what was measured of the same recipe."""
    index = len(state.recommendations)
    target_ev = aimed(config, index).objective.aim.target_ev
    recipe = dict(zip(names, recommendation.x, strict=True))
    same = [e for e in state.experiments if e.accepted and e.recipe == recipe]
    measured = _measured(same)
    peak = measured["peak_ev"] if measured else None
    if peak is None and "peak_ev" in recommendation.predicted:
        peak = recommendation.predicted["peak_ev"].mean
    return {
        "recipe": recipe,
        "basis": recommendation.basis,
        "predicted": intervals(recommendation.predicted, read_outputs(config, state)),
        "measured": measured,
        "error_ev": None if peak is None else peak - target_ev,
        "reason": recommendation.reason,
        **labels(config, index),
    }


def read_outputs(config: CampaignConfig, state: RunState) -> frozenset[str]:
    """The outputs that were read twice, here or in the archives: of others a model knows nothing to predict."""
    outputs = objective(config).outputs
    archived = [seen for archive in of_header(state.header) for seen in archive.observations]
    times = {
        output: sum(each.reading(output) is not None for each in state.experiments)
        + sum(getattr(seen, output, None) is not None for seen in archived)
        for output in outputs
    }
    return frozenset(output for output, count in times.items() if count >= LEAST_READINGS)


def intervals(predicted: Mapping[str, Interval], read: Collection[str]) -> dict[str, dict[str, float]]:
    """Predictions as the journal keeps them, of those outputs that were read."""
    return {name: {"mean": it.mean, "low": it.low, "high": it.high} for name, it in predicted.items() if name in read}


def _measured(experiments: list[Experiment]) -> dict[str, Any] | None:
    """Means over the experiments of one recipe, with the standard error of the peak."""
    from orchestrator.spectra.analysis import mean_and_error

    peaks = [e.peak_ev for e in experiments if e.peak_ev is not None]
    if not peaks:
        return None
    peak, scatter = mean_and_error(peaks)
    reported = [e.peak_sd_ev for e in experiments if e.peak_sd_ev is not None]
    widths = [e.fwhm_ev for e in experiments if e.fwhm_ev is not None]
    yields = [e.quantum_yield for e in experiments if e.quantum_yield is not None]
    return {
        "peak_ev": peak,
        "peak_sd_ev": max(scatter, max(reported, default=0.0) / len(peaks) ** 0.5),
        "fwhm_ev": mean_and_error(widths)[0] if widths else None,
        "quantum_yield": mean_and_error(yields)[0] if yields else None,
        "n_replicates": len(peaks),
        **_shape(experiments),
    }


def _shape(experiments: list[Experiment]) -> dict[str, float]:
    """Means of what spectra have in common with the target spectrum, where there is one."""
    shapes = [e.shape for e in experiments if e.shape is not None]
    return {key: math.fsum(each[key] for each in shapes) / len(shapes) for key in ("distance_ev", "overlap") if shapes}
