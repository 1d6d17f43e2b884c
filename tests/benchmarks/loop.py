"""The whole loop, many times: how often, how close, how fast, at what cost, by arm and target.

    python -m tests.benchmarks.loop --seeds 20 --jobs 2

Every run is a full campaign in virtual time: YAML, drivers over their wire protocols, twins, planner, journal. The
recommended recipe is scored on the twin's noiseless steady state, which no planner sees. Runs by the same code that are
in the results file are not repeated, so an interrupted benchmark goes on where it was.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import random
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.bench import ROOT, fingerprint
from tests.benchmarks.kept import Kept

CAMPAIGNS = {1.95: "quickstart.yaml", 2.25: "quickstart.yaml", 2.40: "quickstart.yaml", 2.60: "blue-2.60.yaml"}
ARMS = ("ensemble", "gp", "sobol")
WANTED_MEV = 5.0


@dataclass(frozen=True)
class Outcome:
    """One campaign. ``truth_error_mev``: the recommended recipe on the noiseless twin; None: nothing recommended."""

    arm: str
    target_ev: float
    seed: int
    stop_reason: str
    experiments: int
    failures: int
    truth_error_mev: float | None
    truth_fwhm_mev: float | None
    truth_yield: float | None
    experiments_to_5_mev: int | None
    reagent_ml: float
    solvent_ml: float
    reactor_h: float
    wall_s: float


def one_run(arm: str, target_ev: float, seed: int) -> Outcome:
    """Run one campaign and score its recommendation."""
    from orchestrator.campaign.header import Overrides
    from orchestrator.config import load_campaign
    from orchestrator.history.fold import fold
    from orchestrator.journal.journal import Journal
    from orchestrator.recipes.plumbing import pump_flows
    from orchestrator.sittings.runner import RunOptions, run_campaign
    from orchestrator.sittings.show import Show
    from orchestrator.twins import truth_world
    from simulators import SteadyRecipe

    campaign = ROOT / "configs" / "campaigns" / CAMPAIGNS[target_ev]
    with tempfile.TemporaryDirectory() as folder:
        options = RunOptions(
            campaign,
            overrides=Overrides(seed, f"{target_ev:.2f} eV", arm),
            journal=Path(folder) / "run.sqlite",
            report=False,
        )
        result = run_campaign(options, Show(as_json=True), ask=None)
        with Journal.open(result.journal, readonly=True) as journal:
            state = fold(journal.events())
    loaded = load_campaign(campaign)
    world = truth_world(loaded)

    def truth(recipe: dict[str, float]) -> tuple[float, float, float]:
        plan = pump_flows(loaded.config, loaded.rig, recipe)
        real = world.truth(SteadyRecipe(plan.flows_ul_min, plan.temperature_c))
        return 1000.0 * (real.peak_ev - target_ev), 1000.0 * real.fwhm_ev, real.quantum_yield

    scored = truth(dict(state.recommendation.recipe)) if state.recommendation is not None else None
    reached: int | None = None
    for count, experiment in enumerate((e for e in state.experiments if e.told), start=1):
        if experiment.accepted and abs(truth(dict(experiment.recipe))[0]) < WANTED_MEV:
            reached = count
            break
    solvent = loaded.rig.plumbing.solvent_pump
    return Outcome(
        arm=arm,
        target_ev=target_ev,
        seed=seed,
        stop_reason=state.stop_reason or "none",
        experiments=sum(e.told for e in state.experiments),
        failures=sum(e.told and not e.accepted for e in state.experiments),
        truth_error_mev=None if scored is None else scored[0],
        truth_fwhm_mev=None if scored is None else scored[1],
        truth_yield=None if scored is None else scored[2],
        experiments_to_5_mev=reached,
        reagent_ml=sum(v for p, v in state.reagent_ul.items() if p != solvent) / 1000.0,
        solvent_ml=state.reagent_ul.get(solvent, 0.0) / 1000.0,
        reactor_h=state.reactor_s / 3600.0,
        wall_s=result.wall_s,
    )


def wilson(hits: int, runs: int) -> tuple[float, float]:
    """95 % interval of a fraction (Wilson 1927)."""
    if runs == 0:
        return 0.0, 1.0
    z, share = 1.959964, hits / runs
    centre = (share + z * z / (2 * runs)) / (1 + z * z / runs)
    half = z * math.sqrt(share * (1 - share) / runs + z * z / (4 * runs * runs)) / (1 + z * z / runs)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def bootstrap_median(values: Sequence[float]) -> tuple[float, float, float]:
    """Median with its bootstrap 95 % interval (2000 resamples, fixed seed)."""
    generator = random.Random(1)
    medians = sorted(statistics.median(generator.choices(values, k=len(values))) for _ in range(2000))
    return statistics.median(values), medians[49], medians[1949]


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """The results as a Markdown table, one row an arm and target, and one row an arm over all targets."""
    yield (
        "| arm | target | runs | truth within 5 meV (95 % interval) | within 1 meV | truth error, median (95 %) | "
        "experiments to 5 meV | experiments run | reproduced | failures | FWHM | yield | reagent + solvent | reactor | "
        "wall |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"
    for arm in ARMS:
        mine = [o for o in outcomes if o.arm == arm]
        for target in (*sorted({o.target_ev for o in mine}), None):
            rows = [o for o in mine if target is None or o.target_ev == target]
            if rows:
                yield _row(arm, target, rows)


def _row(arm: str, target: float | None, rows: Sequence[Outcome]) -> str:
    errors = [math.inf if o.truth_error_mev is None else abs(o.truth_error_mev) for o in rows]
    hits = sum(error < WANTED_MEV for error in errors)
    low, high = wilson(hits, len(rows))
    median, median_low, median_high = bootstrap_median(errors)
    # Runs that never came within 5 meV are censored at what they ran.
    first = statistics.median([o.experiments_to_5_mev or math.inf for o in rows])
    widths = [o.truth_fwhm_mev for o in rows if o.truth_fwhm_mev is not None]
    yields = [o.truth_yield for o in rows if o.truth_yield is not None]
    cells = [
        arm,
        "all" if target is None else f"{target:.2f} eV",
        str(len(rows)),
        f"{hits}/{len(rows)} = {100 * hits / len(rows):.0f} % ({100 * low:.0f}-{100 * high:.0f})",
        f"{100 * sum(error < 1.0 for error in errors) / len(rows):.0f} %",
        f"{median:.2f} ({median_low:.2f}-{median_high:.2f}) meV",
        f"{first:g}",
        f"{statistics.median([o.experiments for o in rows]):g}",
        f"{100 * sum(o.stop_reason == 'target_reproduced' for o in rows) / len(rows):.0f} %",
        f"{statistics.mean([o.failures for o in rows]):.1f}",
        f"{statistics.median(widths):.0f} meV" if widths else "-",
        f"{100 * statistics.median(yields):.0f} %" if yields else "-",
        f"{statistics.median([o.reagent_ml for o in rows]):.0f} + "
        f"{statistics.median([o.solvent_ml for o in rows]):.0f} mL",
        f"{statistics.median([o.reactor_h for o in rows]):.1f} h",
        f"{statistics.median([o.wall_s for o in rows]):.0f} s",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Run what is missing from the results file, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--targets", type=float, nargs="*", default=list(CAMPAIGNS))
    parser.add_argument("--arms", nargs="*", default=list(ARMS), choices=ARMS)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--results", type=Path, default=ROOT / "runs" / "bench-loop.jsonl")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    wanted = [(a, t, s) for s in range(1, options.seeds + 1) for t in options.targets for a in options.arms]
    outcomes = Kept(options.results, fingerprint("planners"), options.jobs).run(one_run, wanted, Outcome, _say)
    print(f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, {os.cpu_count()} cores\n")
    print("\n".join(table(outcomes)))


def _say(count: int, missing: int, outcome: Outcome) -> None:
    error = "none" if outcome.truth_error_mev is None else f"{outcome.truth_error_mev:+.2f} meV"
    print(
        f"{count}/{missing} {outcome.arm} {outcome.target_ev:.2f} eV seed {outcome.seed}: {error}, "
        f"{outcome.experiments} experiments, {outcome.stop_reason}, {outcome.wall_s:.0f} s",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
