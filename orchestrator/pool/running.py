"""Many replays, in as many processes as wanted, with a results file that an interrupted benchmark goes on from."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UsageRefused
from orchestrator.pool.fingerprint import fingerprint
from orchestrator.pool.replay import Outcome, replay
from orchestrator.pool.results import ResultsFile, read_results
from orchestrator.processes import as_they_end

if TYPE_CHECKING:
    from orchestrator.pool.conditions import Pool, PoolGoal

Heard = Callable[[int, int, Outcome], None]
"""Told of every replay as it ends: how many have ended, of how many, and what came out."""


def run_pool(
    pool: Pool,
    arms: Sequence[str],
    seeds: int,
    *,
    jobs: int,
    results: Path,
    fresh: bool,
    heard: Heard,
    known_only: bool = False,
) -> list[Outcome]:
    """Replay what the results file does not hold yet; gives all that was asked for, in the order of arms, goals, seeds.
    With ``known_only``, replays nothing and gives what there is.

    Each replay depends on the pool, the planners' code and settings, the arm, the goal and the seed alone. Raises
    UsageRefused for a results file that is none, or that cannot be written, for an arm of a package that is not
    installed, before any replay, and for a campaign that a planner cannot plan.
    """
    known = {} if fresh else {outcome.key: outcome for outcome in read_results(results)}
    wanted = [(arm, goal, seed) for arm in arms for goal in pool.goals for seed in range(1, seeds + 1)]
    marks = {arm: fingerprint(arm) for arm in arms}
    missing = [job for job in wanted if _key(pool, marks, *job) not in known]
    if known_only:
        return [known[key] for arm, goal, seed in wanted if (key := _key(pool, marks, arm, goal, seed)) in known]
    _installed({arm for arm, _, _ in missing})
    replays = as_they_end(partial(_one, pool), missing, jobs)
    with ResultsFile(results, fresh=fresh) as file, closing(replays):
        for count, outcome in enumerate(replays, start=1):
            known[outcome.key] = outcome
            file.add(outcome)
            heard(count, len(missing), outcome)
    return [known[_key(pool, marks, *job)] for job in wanted]


def _key(pool: Pool, marks: Mapping[str, str], arm: str, goal: PoolGoal, seed: int) -> tuple[str, str, str, str, int]:
    """See `Outcome.key`."""
    return pool.digest, marks[arm], arm, goal.label, seed


def _installed(arms: Collection[str]) -> None:
    from planners import PlannerError, strategy
    from planners.guests import Guest, installed

    for arm in sorted(arms):
        if isinstance(strategy(arm), Guest):
            try:
                installed(arm)
            except PlannerError as error:
                raise UsageRefused(str(error)) from None


def _one(pool: Pool, job: tuple[str, PoolGoal, int]) -> Outcome:
    from planners import PlannerError

    arm, goal, seed = job
    try:
        return replay(pool, arm, goal, seed, clock=time.perf_counter)
    except PlannerError as error:
        raise UsageRefused(f"{arm}, {goal.label}, seed {seed}: {error}") from None
