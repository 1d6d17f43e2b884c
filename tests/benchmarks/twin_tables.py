"""What the campaigns on twins showed, as Markdown: errors, experiments, costs, calibration, and the paired test."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.twin_runs import ARCHIVE_SIZE, LOOKS, Run

RESAMPLES = 2000
OURS = "ensemble"

Array = NDArray[np.float64]


def tables(runs: Sequence[Run]) -> Iterator[str]:
    """Three tables for each condition and number of inputs."""
    for condition in LOOKS:
        for inputs in sorted({run.inputs for run in runs}):
            mine = [run for run in runs if (run.condition, run.inputs) == (condition, inputs)]
            if mine:
                yield f"#### {inputs} inputs, {condition}"
                yield ""
                yield from errors(mine)
                yield ""
                yield from costs(mine)
                yield ""


def truth_at(look: int, run: Run) -> float:
    """The error in truth of a campaign at one of its looks."""
    return run.truth_mev[look]


def arms_of(runs: Sequence[Run]) -> list[str]:
    """Arms in the order in which they come."""
    return list(dict.fromkeys(run.arm for run in runs))


def errors(runs: Sequence[Run]) -> Iterator[str]:
    """Errors by the number of experiments, and the paired test against the ensemble."""
    looks = LOOKS[runs[0].condition]
    before = ARCHIVE_SIZE if runs[0].condition.startswith("archive") else 0
    shown = [str(look + before) for look in looks]
    yield (
        "| arm | runs | "
        + " | ".join(f"truth at {look}, meV" for look in shown)
        + (
            f" | worst at {shown[-1]} | best reading at {shown[-1]}, meV | less the ensemble's at {shown[-2]}, meV "
            "(95 %), p |"
        )
    )
    yield "|---" * (len(looks) + 5) + "|"
    ours = {(run.target_ev, run.seed): run for run in runs if run.arm == OURS}
    for arm in arms_of(runs):
        mine = [run for run in runs if run.arm == arm]
        cells = [arm, str(len(mine))]
        cells += [interval(by_seed(mine, partial(truth_at, at))) for at in range(len(looks))]
        cells.append(f"{max(_or_inf(run.truth_mev[-1]) for run in mine):.1f}")
        cells.append(f"{np.mean(by_seed(mine, lambda run: run.reading_mev[-1])):.2f}")
        cells.append(paired(mine, ours) if arm != OURS else "-")
        yield "| " + " | ".join(cells) + " |"


def costs(runs: Sequence[Run]) -> Iterator[str]:
    """Experiments to 5 and 1 meV, what the recommended recipes are, costs and calibration."""
    budget = LOOKS[runs[0].condition][-1]
    yield (
        "| arm | experiments to 5 meV, median (IQR; 95 %), solved | to 1 meV | FWHM of hits | yield of hits | "
        "failures | 90 % coverage | NLL | mL | reactor | s per proposal, p50 / p95 |"
    )
    yield "|---" * 11 + "|"
    for arm in arms_of(runs):
        mine = [run for run in runs if run.arm == arm]
        hits = [run for run in mine if run.truth_mev[-1] < 5.0]
        covered = [each for run in mine for each in run.covered]
        nll = [each for run in mine for each in run.nll]
        seconds = [each for run in mine for each in run.seconds]
        cells = [
            arm,
            reached([run.to_5_mev for run in mine], budget),
            reached([run.to_1_mev for run in mine], budget),
            f"{np.median([run.fwhm_mev for run in hits]):.0f} meV" if hits else "-",
            f"{100 * np.median([run.quantum_yield for run in hits]):.0f} %" if hits else "-",
            f"{np.mean([run.failures for run in mine]):.1f}",
            f"{100 * np.mean(covered):.0f} % of {len(covered)}" if covered else "-",
            f"{np.mean(nll):.2f}" if nll else "-",
            f"{np.median([run.volume_ml for run in mine]):.0f}",
            f"{np.median([run.reactor_h for run in mine]):.1f} h",
            f"{np.median(seconds):.2f} / {np.quantile(seconds, 0.95):.2f}" if seconds else "-",
        ]
        yield "| " + " | ".join(cells) + " |"


def by_seed(runs: Sequence[Run], value: Callable[[Run], float]) -> Array:
    """The mean over targets, for each seed [S]; infinite where a run recommended or read nothing."""
    seeds = sorted({run.seed for run in runs})
    return np.array([np.mean([_or_inf(value(run)) for run in runs if run.seed == seed]) for seed in seeds])


def interval(values: Array) -> str:
    """Mean over seeds, with the bootstrap 95 % interval of that mean."""
    if not np.isfinite(values).all():
        return f"none in {int(np.sum(~np.isfinite(values)))} of {len(values)} seeds"
    low, high = np.quantile(resampled(values, np.mean), [0.025, 0.975])
    return f"{values.mean():.2f} ({low:.2f}-{high:.2f})"


def resampled(values: Array, statistic: Callable[..., Array]) -> Array:
    """A statistic of bootstrap samples [2000] of values [n]; fixed seed."""
    rows = np.random.default_rng(1).integers(0, len(values), (RESAMPLES, len(values)))
    return np.asarray(statistic(values[rows], axis=1))


def reached(counts: Sequence[int | None], budget: int) -> str:
    """Median, quartiles and bootstrap interval of experiments until a goal; a run that never met it counts as more than
    the budget."""
    known = np.array([budget + 1.0 if count is None else count for count in counts])
    solved = np.mean([count is not None for count in counts])
    low, high = np.quantile(resampled(known, np.median), [0.025, 0.975])
    quartiles = np.quantile(known, [0.25, 0.75], method="nearest")

    def shown(value: float) -> str:
        return f"> {budget}" if value > budget else f"{value:g}"

    return (
        f"{shown(float(np.median(known)))} ({shown(quartiles[0])}-{shown(quartiles[1])}; {shown(low)}-{shown(high)}), "
        f"{100 * solved:.0f} %"
    )


def paired(runs: Sequence[Run], ours: dict[tuple[float, int], Run]) -> str:
    """How much farther from the target than the ensemble, on the same targets and seeds, and Wilcoxon's p (two-sided).

    At the last look but one: at the last the noise of a reading hides most differences.
    """
    from scipy.stats import wilcoxon

    pairs = [(run, ours[run.target_ev, run.seed]) for run in runs if (run.target_ev, run.seed) in ours]
    gaps = np.array([a.truth_mev[-2] - b.truth_mev[-2] for a, b in pairs])
    gaps = gaps[np.isfinite(gaps)]
    if len(gaps) < 6 or not gaps.any():
        return "too few pairs"
    low, high = np.quantile(resampled(gaps, np.mean), [0.025, 0.975])
    return f"{gaps.mean():+.2f} ({low:+.2f} to {high:+.2f}) meV, p = {wilcoxon(gaps).pvalue:.1g} of {len(gaps)}"


def _or_inf(value: float) -> float:
    return math.inf if math.isnan(value) else value
