"""Planners: pure numerics that choose the next experiment and, at the end, the recipe. No input or output at all."""

from planners.desirability import Desirability, Desirable
from planners.errors import PlannerError
from planners.explained import Band, Change, Effect, Explanation, Input
from planners.explaining import explain
from planners.in_order import InOrder, Step
from planners.objective import OUTPUTS, Objective, PeakAimed, Wanted
from planners.one_output import OneOutput, is_within
from planners.records import (
    Archive,
    Feasible,
    Interval,
    Observation,
    OutOfReach,
    Price,
    Proposal,
    Recommendation,
    Request,
    Strategy,
)
from planners.registry import strategy, strategy_names, strategy_settings
from planners.several import Aspect, SeveralOutputs
from planners.shape import LIGHT_OUTPUTS, Shape
from planners.space import SearchSpace, Variable

__all__ = [
    "LIGHT_OUTPUTS",
    "OUTPUTS",
    "Archive",
    "Aspect",
    "Band",
    "Change",
    "Desirability",
    "Desirable",
    "Effect",
    "Explanation",
    "Feasible",
    "InOrder",
    "Input",
    "Interval",
    "Objective",
    "Observation",
    "OneOutput",
    "OutOfReach",
    "PeakAimed",
    "PlannerError",
    "Price",
    "Proposal",
    "Recommendation",
    "Request",
    "SearchSpace",
    "SeveralOutputs",
    "Shape",
    "Step",
    "Strategy",
    "Variable",
    "Wanted",
    "explain",
    "is_within",
    "strategy",
    "strategy_names",
    "strategy_settings",
]
