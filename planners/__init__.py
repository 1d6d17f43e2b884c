"""Planners: pure numerics that choose the next experiment and, at the end, the recipe. No input or output at all."""

from planners.errors import PlannerError
from planners.objective import Objective
from planners.records import (
    OUTPUTS,
    Feasible,
    Interval,
    Observation,
    Proposal,
    Recommendation,
    Request,
    Strategy,
)
from planners.registry import strategy, strategy_names, strategy_settings
from planners.space import SearchSpace, Variable

__all__ = [
    "OUTPUTS",
    "Feasible",
    "Interval",
    "Objective",
    "Observation",
    "PlannerError",
    "Proposal",
    "Recommendation",
    "Request",
    "SearchSpace",
    "Strategy",
    "Variable",
    "strategy",
    "strategy_names",
    "strategy_settings",
]
