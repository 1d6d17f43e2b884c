"""Where nothing, or next to nothing, can be set: which constraints are at odds, and whether a campaign could begin."""

from __future__ import annotations

from orchestrator.campaign import planning
from orchestrator.config.load import LoadedCampaign
from orchestrator.errors import Problem
from orchestrator.history.run_state import RunState
from orchestrator.preflight.many_samples import MOST_SAMPLES, ManySamples

LITTLE = 1e-3
"""Above this share of settable recipes no design of 65,536 misses them all: it would once in 1e28 times."""
_OWN_DESIGN = ("random", "latin")
"""Strategies that begin with something else than Sobol points."""


def at_odds(loaded: LoadedCampaign, many: ManySamples) -> list[Problem]:
    """The first constraint that leaves nothing together with those before it, and as few of these as do. Empty where it
    is not for the constraints."""
    texts = loaded.config.constraints
    if len(texts) < 2 or not many.settable().any():
        return []
    last = next((n for n in range(1, len(texts) + 1) if not many.settable(*texts[:n]).any()), None)
    if last is None:
        return []
    others = list(texts[: last - 1])
    for text in texts[: last - 1]:
        fewer = [other for other in others if other != text]
        if not many.settable(*fewer, texts[last - 1]).any():
            others = fewer
    message = f"none of {MOST_SAMPLES} sampled recipes that the rig can be set to meets this and {' and '.join(others)}"
    return [loaded.campaign_source.problem(("constraints", last - 1), message)]


def no_beginning(loaded: LoadedCampaign, settable: float) -> list[Problem]:
    """That the initial design holds no recipe that can be set, of which a share ``settable`` can."""
    config = loaded.config
    if settable > LITTLE or config.archives:
        return []
    from planners import PlannerError, strategy

    design = config.planner.strategy if config.planner.strategy in _OWN_DESIGN else "sobol"
    try:
        strategy(design).propose(planning.request(config, loaded.rig, RunState()))
    except PlannerError:
        message = (
            f"so little can be set ({settable:.2g} of the space) that the planner's first {MOST_SAMPLES} recipes with "
            f"seed {config.seed} miss it: leave more room"
        )
        path = ("constraints",) if config.constraints else ("inputs",)
        return [loaded.campaign_source.problem(path, message, at_key=True, offending="")]
    return []
