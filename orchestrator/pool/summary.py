"""Replays in numbers: medians with their intervals, solved fractions, verdicts, seconds per proposal."""

from __future__ import annotations

import math
import random
import statistics
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from orchestrator.pool.amounts import many
from orchestrator.pool.conditions import Pool, PoolGoal
from orchestrator.pool.replay import Outcome

RESAMPLES = 2000
_FEWEST_RUNS = 5
"""Of fewer runs the bootstrap says little: of one, that it is sure."""


@dataclass(frozen=True)
class Row:
    """One arm at one step of one goal. Experiments are infinite where so many runs were censored at the budget; ``low``
    and ``high`` are no numbers where the runs are too few for an interval. ``by_chance``: the exact median of random
    choice; None where no condition meets the goal."""

    arm: str
    goal: str
    step: str
    by_chance: int | None
    reachable: bool
    runs: int
    solved: int
    censored: int
    median: float
    low: float
    high: float
    declared: int
    declared_median: float
    false_declared: int
    seconds_p50: float | None
    seconds_p95: float | None

    def as_dict(self) -> dict[str, Any]:
        """The row for ``--json``; None stands for more than the budget, or for what does not apply."""
        return {
            "arm": self.arm,
            "goal": self.goal,
            "step": self.step,
            "random_exact_median": self.by_chance,
            "reachable": self.reachable,
            "runs": self.runs,
            "solved": self.solved,
            "solved_fraction": self.solved / self.runs,
            "censored": self.censored,
            "median_experiments": _finite(self.median),
            "low": _finite(self.low),
            "high": _finite(self.high),
            "declared_out_of_reach": self.declared,
            "declared_median_experiments": _finite(self.declared_median),
            "declared_falsely": self.false_declared,
            "seconds_per_proposal_p50": self.seconds_p50,
            "seconds_per_proposal_p95": self.seconds_p95,
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def bootstrap_median(values: Sequence[float]) -> tuple[float, float, float]:
    """Median with its bootstrap 95 % interval (percentiles of resampled medians; fixed seed); of fewer than five values
    the interval is not a number."""
    if len(values) < _FEWEST_RUNS:
        return _median(values), math.nan, math.nan
    generator = random.Random(1)
    medians = sorted(_median(generator.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return _median(values), medians[int(0.025 * RESAMPLES) - 1], medians[int(0.975 * RESAMPLES) - 1]


def _median(values: Sequence[float]) -> float:
    """The median; of two middle values of which one is infinite, infinity."""
    return statistics.median(values)


def exact_random(pool: Pool, goal: PoolGoal, hits: int) -> int | None:
    """The median number of experiments to so many hits by random choice: drawing without replacement, exactly."""
    if not goal.reachable:
        return None
    return _median_draws(len(pool), len(goal.hits), hits)


@cache
def _median_draws(size: int, good: int, hits: int) -> int | None:
    """Of ``size`` of which so many are good: the least number drawn that holds ``hits`` good ones as likely as not."""
    if hits > good:
        return None
    return bisect_left(range(size + 1), True, lo=hits, key=lambda drawn: _likely(size, good, hits, drawn))


def _likely(size: int, good: int, hits: int, drawn: int) -> bool:
    """Whether the chance of fewer hits is one half at the most. Every draw more makes it smaller. In whole numbers: a
    chance of exactly one half is not rare."""
    bad = size - good
    first = max(0, drawn - bad)
    if first >= hits:
        return True
    ways = math.comb(good, first) * math.comb(bad, drawn - first)
    fewer = ways
    for k in range(first, min(hits, drawn + 1) - 1):
        ways = ways * (good - k) * (drawn - k) // ((k + 1) * (bad - drawn + k + 1))
        fewer += ways
    return 2 * fewer <= math.comb(size, drawn)


def summarise(pool: Pool, outcomes: Sequence[Outcome], arms: Sequence[str]) -> list[Row]:
    """One row for each goal, step and arm, in this order."""
    rows = []
    for goal in pool.goals:
        for place in range(len(goal.steps)):
            for arm in arms:
                mine = [o for o in outcomes if o.arm == arm and o.goal == goal.label]
                if mine:
                    rows.append(_row(pool, goal, place, arm, mine))
    return rows


def _row(pool: Pool, goal: PoolGoal, place: int, arm: str, mine: Sequence[Outcome]) -> Row:
    reached = [o.reached[place] for o in mine]
    step, hits = goal.steps[place]
    counts = [math.inf if count is None else float(count) for count in reached]
    median, low, high = bootstrap_median(counts)
    declared = [float(o.declared) for o in mine if o.declared is not None]
    seconds = sorted(each for o in mine for each in o.seconds)
    solved = sum(count is not None for count in reached)
    return Row(
        arm=arm,
        goal=goal.label,
        step=step,
        by_chance=exact_random(pool, goal, hits),
        reachable=goal.reachable,
        runs=len(mine),
        solved=solved,
        censored=sum(count is None and o.experiments >= o.budget for count, o in zip(reached, mine, strict=True)),
        median=median,
        low=low,
        high=high,
        declared=len(declared),
        declared_median=statistics.median(declared) if declared else math.inf,
        false_declared=len(declared) if goal.reachable else 0,
        seconds_p50=seconds[len(seconds) // 2] if seconds else None,
        seconds_p95=seconds[min(int(0.95 * len(seconds)), len(seconds) - 1)] if seconds else None,
    )


def as_markdown(pool: Pool, rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| goal | arm | runs | experiments, median (95 %) | solved | censored | declared out of reach | "
        "s per proposal, p50 / p95 |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        seconds = "-" if row.seconds_p50 is None else f"{row.seconds_p50:.2f} / {row.seconds_p95:.2f}"
        if row.reachable:
            interval = "-" if math.isnan(row.low) else f"{_count(row.low, pool)}-{_count(row.high, pool)}"
            counts = f"{_count(row.median, pool)} ({interval})"
            solved = f"{100 * row.solved / row.runs:.0f} %"
            declared = f"falsely in {row.false_declared}" if row.false_declared else "-"
        else:
            counts, solved = "none in the table", "-"
            declared = f"{row.declared} of {row.runs}" + (
                f", after {row.declared_median:g} (median)" if row.declared else ""
            )
        step = row.step.replace("|", "¦")
        cells = [step, row.arm, str(row.runs), counts, solved, str(row.censored), declared, seconds]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _count(value: float, pool: Pool) -> str:
    return f"> {pool.budget}" if math.isinf(value) else f"{value:g}"


def heading(pool: Pool) -> str:
    """What the table is about and what chance would need, on one line."""
    failed = sum(value is None for value in pool.values)
    failures = f", {failed} of them failed" if failed else ""
    rows = f"{pool.rows} rows" + (f" (the filter left out {pool.left_out} more)" if pool.left_out else "")
    chances = [
        f"{step} {median}"
        for goal in pool.goals
        for step, hits in goal.steps
        if (median := exact_random(pool, goal, hits)) is not None
    ]
    chance = f" Random choice, exact median: {'; '.join(chances)}." if chances else ""
    return (
        f"{pool.name}: {len(pool)} conditions from {rows}{failures}; {many(len(pool.variables), 'variable')}; "
        f"{many(pool.initial, 'random condition')} to start; budget {pool.budget}.{chance}"
    )
