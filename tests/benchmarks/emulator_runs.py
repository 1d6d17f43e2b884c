"""One campaign of a planner on a fitted emulator, and what it showed."""

from __future__ import annotations

import math
import time
import zlib
from dataclasses import dataclass

import numpy as np

from orchestrator.pool.conditions import PoolGoal
from planners import Observation, OneOutput, Request, SearchSpace, strategy
from tests.benchmarks import forecasts
from tests.benchmarks.emulator_models import Emulator, Family, may_run

BUDGET = 40
LOOKS = (10, 20, 30, 40)
"""After how many experiments the regret is noted."""
CLOSE = 0.05
"""The regret from which on an extreme counts as found."""

Recipe = tuple[float, ...]


@dataclass(frozen=True)
class Run:
    """One campaign. ``table`` is the table's file and ``goal`` the label of its goal.

    ``reached``: experiments, initial ones included, until a recipe that was run truly lay within the tolerance of a
    target or within ``CLOSE`` of the best; None: never. ``regrets``: that of the best recipe run so far, noiseless, at
    each of ``LOOKS``; empty for a target, whose campaign ends when it is met. ``seconds``: of each proposal by a model.
    ``covered``: whether each reading lay within the 90 % interval of its proposal.
    """

    family: Family
    table: str
    goal: str
    arm: str
    seed: int
    reached: int | None
    regrets: tuple[float, ...]
    experiments: int
    seconds: tuple[float, ...]
    covered: tuple[bool, ...]


def seed_of(table: str, seed: int) -> int:
    """What a seed is on this table: with one number for all, equal spaces would be given equal recipes."""
    return int(np.random.default_rng([seed, zlib.crc32(table.encode())]).integers(2**31))


def first_recipes(space: SearchSpace, count: int, seed: int) -> list[Recipe]:
    """The random recipes [count], no two the same, that every arm starts from with this seed."""
    rng = np.random.default_rng(seed)
    found: dict[Recipe, None] = {}
    while len(found) < count:
        (row,) = space.from_unit(rng.random((1, space.dimension)))
        found.setdefault(tuple(map(float, row)))
    return list(found)


def campaign(
    emulator: Emulator, table: str, goal: PoolGoal, arm: str, seed: int, budget: int = BUDGET
) -> tuple[Run, tuple[Recipe, ...]]:
    """Run a campaign until its target is met or its budget is spent; what it showed, and the recipes in their order.

    Every arm of a seed is told the same initial recipes with the same noise.

    Raises:
        ValueError: an arm that models as the emulator does, or a goal of several outputs.
    """
    if not may_run(arm, emulator.family):
        raise ValueError(f"{arm} is not tested on an emulator of its own family, {emulator.family}")
    if goal.goal == "desirability":
        raise ValueError("an emulator foretells one output, and a desirability is of several")
    planner = strategy(arm)
    wanted = OneOutput(goal.output, goal.goal, goal.target, goal.tolerance, emulator.noise)
    space = emulator.free.space
    own = seed_of(table, seed)
    rng = np.random.default_rng([own, zlib.crc32(goal.label.encode())])
    waiting = first_recipes(space, min(emulator.pool.initial, budget), own)
    told: list[Observation] = []
    truths: list[float] = []
    seconds: list[float] = []
    covered: list[bool] = []
    reached: int | None = None
    while len(told) < budget and (goal.target is None or reached is None):
        forecast = None
        if len(told) < len(waiting):
            recipe = waiting[len(told)]
        else:
            request = Request(space, wanted, tuple(told), seed=own, initial=emulator.pool.initial)
            began = time.perf_counter()
            proposal = planner.propose(request)
            if proposal.phase == "model":
                seconds.append(round(time.perf_counter() - began, 4))
            recipe, forecast = proposal.x, proposal.predicted.get(goal.output)
        truths.append(float(emulator.truth(recipe)[0]))
        reading = truths[-1] + emulator.noise * float(rng.standard_normal())
        told.append(Observation(recipe, values=(reading,)))
        if forecast is not None:
            covered.append(forecasts.covers(forecast, reading))
        if reached is None and _met(emulator, goal, truths[-1]):
            reached = len(told)
    regrets: tuple[float, ...] = ()
    if goal.target is None:
        best = np.minimum.accumulate(emulator.regret(goal, truths))
        regrets = tuple(round(float(best[look - 1]), 5) if look <= budget else math.nan for look in LOOKS)
    run = Run(
        emulator.family, table, goal.label, arm, seed, reached, regrets, len(told), tuple(seconds), tuple(covered)
    )
    return run, tuple(observation.x for observation in told)


def _met(emulator: Emulator, goal: PoolGoal, truth: float) -> bool:
    if goal.target is not None:
        return abs(truth - goal.target) <= goal.tolerance
    return bool(emulator.regret(goal, [truth])[0] <= CLOSE)
