"""Planners: pure numerics that choose the next experiment and, at the end, the recipe. No input or output at all."""

from planners.errors import PlannerError
from planners.objective import OUTPUTS, Objective, OneOutput, Wanted
from planners.records import (
    Feasible,
    Interval,
    Observation,
    OutOfReach,
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
    "OneOutput",
    "OutOfReach",
    "PlannerError",
    "Proposal",
    "Recommendation",
    "Request",
    "SearchSpace",
    "Strategy",
    "Variable",
    "Wanted",
    "strategy",
    "strategy_names",
    "strategy_settings",
]
