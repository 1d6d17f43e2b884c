"""What the campaigns on emulators showed, as Markdown: experiments, regrets, and the paired test."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.emulator_models import Family
from tests.benchmarks.emulator_runs import BUDGET, LOOKS, Run
from tests.benchmarks.twin_tables import reached, resampled

AGAINST: Mapping[str, str] = {"trees": "ensemble", "gaussian process": "random"}
"""The arm that the others are paired with. The ensemble does not run on Gaussian processes."""
_LEAST_PAIRS = 6

Value = Callable[[Run], float]


@dataclass(frozen=True)
class Fit:
    """How well an emulator foretells conditions that it was not fitted to, and what its goals are: the share of its
    free space that holds each target, None for an extreme."""

    family: Family
    table: str
    name: str
    conditions: int
    r2: float
    targets: tuple[tuple[str, float | None], ...]


def tables(runs: Sequence[Run], fits: Sequence[Fit], least_r2: float) -> Iterator[str]:
    """For each family the arms over all tables, a row for each table, goal and arm, and what was left out."""
    for family in AGAINST:
        mine = [run for run in runs if run.family == family]
        kept = [fit for fit in fits if fit.family == family and fit.r2 >= least_r2]
        if not mine:
            continue
        yield f"### Emulators: {'extremely randomised trees' if family == 'trees' else 'Gaussian processes'}"
        yield ""
        yield from overall(mine, AGAINST[family])
        yield ""
        out = [f"{fit.table} (R2 {fit.r2:.2f})" for fit in fits if fit.family == family and fit.r2 < least_r2]
        yield f"Left out, for an R2 below {least_r2:g}: {', '.join(out) or 'no table'}."
        yield ""
        yield from by_table(mine, kept, AGAINST[family])
        yield ""


def overall(runs: Sequence[Run], against: str) -> Iterator[str]:
    """A row for each arm over all tables and goals."""
    yield (
        f"| arm, all tables | runs | experiments, median (IQR; 95 %), solved | censored at {BUDGET} | "
        f"{_regret_head()} | experiments less those of {against}, mean (95 %), p | "
        f"regret at {LOOKS[-1]} less that of {against} | 90 % coverage | s per proposal, p50 / p95 |"
    )
    yield "|---" * 9 + "|"
    for arm in dict.fromkeys(run.arm for run in runs):
        mine = [run for run in runs if run.arm == arm]
        yield _line([arm, *_cells(mine, runs, against), _coverage(mine), _seconds(mine)])


def by_table(runs: Sequence[Run], fits: Sequence[Fit], against: str) -> Iterator[str]:
    """A row for each table, goal and arm."""
    yield (
        f"| table and goal | R2 | arm | runs | experiments, median (IQR; 95 %), solved | censored | {_regret_head()} | "
        f"experiments less those of {against} | regret at {LOOKS[-1]} less |"
    )
    yield "|---" * 9 + "|"
    for fit in fits:
        for goal, share in fit.targets:
            held = "" if share is None else f" ({100 * share:.2g} % of the space)"
            mine = [run for run in runs if (run.table, run.goal) == (fit.table, goal)]
            for arm in dict.fromkeys(run.arm for run in mine):
                cells = _cells([run for run in mine if run.arm == arm], mine, against)
                yield _line([f"{fit.name}, {goal}{held}", f"{fit.r2:.2f}", arm, *cells])


def _cells(mine: Sequence[Run], runs: Sequence[Run], against: str) -> list[str]:
    others = {(run.table, run.goal, run.seed): run for run in runs if run.arm == against}
    extremes = [run for run in mine if run.regrets]
    regrets = 100.0 * np.array([run.regrets for run in extremes])
    return [
        str(len(mine)),
        reached([run.reached for run in mine], BUDGET),
        str(sum(run.reached is None for run in mine)),
        " / ".join(f"{each:.1f}" for each in regrets.mean(axis=0)) + " %" if extremes else "-",
        paired(mine, others, lambda run: float(run.reached or BUDGET + 1)) if mine[0].arm != against else "-",
        paired(extremes, others, lambda run: 100.0 * run.regrets[-1], " %") if mine[0].arm != against else "-",
    ]


def paired(runs: Sequence[Run], others: Mapping[tuple[str, str, int], Run], value: Value, unit: str = "") -> str:
    """How much more than another arm on the same tables, goals and seeds, and Wilcoxon's p (two-sided).

    A run that never got there counts as one experiment more than the budget, so differences are understated.
    """
    from scipy.stats import wilcoxon

    pairs = [(run, others.get((run.table, run.goal, run.seed))) for run in runs]
    gaps = np.array([value(run) - value(other) for run, other in pairs if other is not None])
    if len(gaps) == 0:
        return "-"
    if len(gaps) < _LEAST_PAIRS or not gaps.any():
        return f"{gaps.mean():+.1f}{unit}, too few pairs" if gaps.any() else f"none in {len(gaps)} pairs"
    low, high = np.quantile(resampled(gaps, np.mean), [0.025, 0.975])
    return f"{gaps.mean():+.1f}{unit} ({low:+.1f} to {high:+.1f}), p = {wilcoxon(gaps).pvalue:.1g} of {len(gaps)}"


def _regret_head() -> str:
    return f"mean regret at {' / '.join(map(str, LOOKS))}"


def _seconds(runs: Sequence[Run]) -> str:
    seconds = [each for run in runs for each in run.seconds]
    return f"{np.median(seconds):.2f} / {np.quantile(seconds, 0.95):.2f}" if seconds else "-"


def _coverage(runs: Sequence[Run]) -> str:
    covered = [each for run in runs for each in run.covered]
    return f"{100.0 * np.mean(covered):.0f} % of {len(covered)}" if covered else "-"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
