"""One campaign replayed on a pool: a planner chooses among conditions that were really run, and is told the outcome."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator.pool.conditions import Desired, Pool, PoolGoal

if TYPE_CHECKING:
    from planners import Observation, SearchSpace, Wanted


_PATIENCE = 10
"""Experiments after the initial ones by which a planner must have begun to predict the output."""


@dataclass(frozen=True)
class Outcome:
    """One replayed campaign.

    ``digest`` is that of the pool, ``planners`` the fingerprint of what chose (see `orchestrator.pool.fingerprint`).
    ``reached``: for each step of the goal, after how many experiments (initial ones included) it was met; None if it
    was not. ``declared``: after how many experiments the planner first called the target out of reach. ``experiments``:
    how many were run. ``seconds``: what each proposal by a model took.
    """

    digest: str
    planners: str
    arm: str
    goal: str
    seed: int
    reached: tuple[int | None, ...]
    declared: int | None
    evidence: str
    experiments: int
    budget: int
    seconds: tuple[float, ...]

    @property
    def key(self) -> tuple[str, str, str, str, int]:
        """What tells this campaign from every other."""
        return (self.digest, self.planners, self.arm, self.goal, self.seed)


def initial_points(pool: Pool, seed: int) -> list[int]:
    """The random conditions that every arm starts from with this seed."""
    return random.Random(f"initial conditions {seed}").sample(range(len(pool)), pool.initial)


def replay(pool: Pool, arm: str, goal: PoolGoal, seed: int, *, clock: Callable[[], float]) -> Outcome:
    """Run one campaign until every step of the goal is met or the budget is spent.

    A target that no condition of the table meets ends with the planner's verdict that it is out of reach, or soon for a
    planner that predicts no output and so can give none. Where a condition meets it, a verdict is noted as false and
    the campaign goes on.
    """
    from orchestrator.pool.fingerprint import fingerprint
    from planners import Request, strategy

    planner = strategy(arm)
    space, wanted = search_space(pool), objective(goal)
    place = {x: i for i, x in enumerate(pool.x)}
    run = initial_points(pool, seed)[: pool.budget]
    told: list[Observation] = [_told(pool, i) for i in run]
    seconds: list[float] = []
    declared: int | None = None
    evidence = ""
    while len(run) < pool.budget and not _done(goal, run):
        request = Request(space, wanted, tuple(told), seed=seed, initial=pool.initial, candidates=pool.x)
        began = clock()
        proposal = planner.propose(request)
        if proposal.phase == "model":
            seconds.append(clock() - began)
        if not goal.reachable and goal.output not in proposal.predicted and len(run) >= pool.initial + _PATIENCE:
            break
        if proposal.out_of_reach is not None and declared is None:
            declared, evidence = len(run), proposal.out_of_reach.reason
            if not goal.reachable:
                break
        chosen = place[proposal.x]
        run.append(chosen)
        told.append(_told(pool, chosen))
    return Outcome(
        pool.digest,
        fingerprint(arm),
        arm,
        goal.label,
        seed,
        tuple(_reached(goal, run, wanted_hits) for _, wanted_hits in goal.steps),
        declared,
        evidence,
        len(run),
        pool.budget,
        tuple(round(each, 4) for each in seconds),
    )


def search_space(pool: Pool) -> SearchSpace:
    """The pool's variables as a planner takes them."""
    from planners import SearchSpace, Variable

    def variable(v: Any) -> Variable:
        if v.kind in ("discrete", "categorical"):
            return Variable(v.name, scale=v.scale, kind=v.kind, unit=v.unit, values=v.values, levels=v.levels)
        return Variable(v.name, v.lower, v.upper, scale=v.scale, kind=v.kind, unit=v.unit)

    return SearchSpace(tuple(variable(v) for v in pool.variables))


def objective(goal: PoolGoal) -> Wanted:
    """The goal as a planner takes it."""
    from planners import OneOutput

    if goal.goal == "desirability":
        return together(goal.desired)
    return OneOutput(goal.output, goal.goal, goal.target, goal.tolerance)


def together(desired: Sequence[Desired]) -> Wanted:
    """Several outputs as one objective."""
    from planners import Aspect, Desirable, SeveralOutputs

    return SeveralOutputs(
        tuple(
            Aspect(each.output, Desirable(each.full_at, each.none_at, each.weight, each.exponent), each.around)
            for each in desired
        )
    )


def _told(pool: Pool, index: int) -> Observation:
    from planners import Observation

    readings = pool.readings[index]
    return Observation(pool.x[index], values=pool.unread if readings is None else readings)


def _done(goal: PoolGoal, run: list[int]) -> bool:
    return goal.reachable and sum(i in goal.hits for i in run) >= max(hits for _, hits in goal.steps)


def _reached(goal: PoolGoal, run: list[int], hits: int) -> int | None:
    seen = 0
    for count, index in enumerate(run, start=1):
        seen += index in goal.hits
        if seen >= hits:
            return count
    return None
