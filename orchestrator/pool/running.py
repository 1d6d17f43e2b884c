"""Many replays, in as many processes as wanted, with a results file that an interrupted benchmark goes on from."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.errors import UsageRefused
from orchestrator.pool.fingerprint import fingerprint
from orchestrator.pool.replay import Outcome, replay

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
    UsageRefused for a results file that is none.
    """
    known = {} if fresh else {outcome.key: outcome for outcome in read_results(results)}
    wanted = [(arm, goal, seed) for arm in arms for goal in pool.goals for seed in range(1, seeds + 1)]
    marks = {arm: fingerprint(arm) for arm in arms}
    missing = [job for job in wanted if _key(pool, marks, *job) not in known]
    if known_only:
        return [known[key] for arm, goal, seed in wanted if (key := _key(pool, marks, arm, goal, seed)) in known]
    results.parent.mkdir(parents=True, exist_ok=True)
    with results.open("w" if fresh else "a", encoding="utf-8") as file:
        for count, outcome in enumerate(_outcomes(pool, missing, jobs), start=1):
            known[outcome.key] = outcome
            file.write(json.dumps(asdict(outcome)) + "\n")
            file.flush()
            heard(count, len(missing), outcome)
    return [known[_key(pool, marks, *job)] for job in wanted]


def _key(pool: Pool, marks: Mapping[str, str], arm: str, goal: PoolGoal, seed: int) -> tuple[str, str, str, str, int]:
    """See `Outcome.key`."""
    return pool.digest, marks[arm], arm, goal.label, seed


def _outcomes(pool: Pool, missing: Sequence[tuple[str, PoolGoal, int]], jobs: int) -> Iterator[Outcome]:
    if jobs == 1 or len(missing) <= 1:
        yield from (_one(pool, *job) for job in missing)
        return
    # A process of its own start: forking one that holds torch's threads may hang.
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as workers:
        futures = [workers.submit(_one, pool, *job) for job in missing]
        for future in as_completed(futures):
            yield future.result()


def _one(pool: Pool, arm: str, goal: PoolGoal, seed: int) -> Outcome:
    return replay(pool, arm, goal, seed, clock=time.perf_counter)


def read_results(path: Path) -> Iterable[Outcome]:
    """The replays that a results file holds. A last line that was not finished is cut off."""
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageRefused(f"{path}: no results file: {error}") from None
    if text and not text.endswith("\n"):
        text = text[: text.rfind("\n") + 1]
        path.write_text(text, encoding="utf-8")
    outcomes = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            entry = json.loads(line)
            entry |= {"reached": tuple(entry["reached"]), "seconds": tuple(entry["seconds"])}
            outcomes.append(Outcome(**entry))
        except (ValueError, TypeError, KeyError):
            raise UsageRefused(f"{path}:{number}: not a line of a results file; --fresh begins anew") from None
    return outcomes
