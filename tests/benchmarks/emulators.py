"""Planners on fitted emulators: `python -m tests.benchmarks.emulators`, which `make bench-planners` calls.

A model is fitted to each of the tables of `tests.benchmarks.pools`, and a planner chooses freely in the table's space,
for 40 experiments from the table's number of random recipes, with a noise of 2 % of the table's spread. Arms of the
forest's family run on Gaussian processes and all others with a model on trees (`tests.benchmarks.emulator_models` says
why the ensemble does not run on Gaussian processes). Emulators with a cross-validated R2 below 0.5 are left out, and so
are targets that neither the table nor its emulator holds. Runs that the results file holds are not repeated as long as
neither what the arm is made of, table, emulators nor libraries have changed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import cache
from pathlib import Path

import orchestrator.pool
from orchestrator.pool import LoadedSpec, Pool, load_pool, load_spec
from orchestrator.pool.conditions import PoolGoal
from orchestrator.pool.fingerprint import OBJECTIVES, digest, planner_parts, source
from orchestrator.processes import as_they_end
from tests.benchmarks.documents import check_marks, made_with, put_between
from tests.benchmarks.emulator_models import Emulator, Family, cross_validated_r2, may_run
from tests.benchmarks.emulator_runs import Run, campaign
from tests.benchmarks.emulator_tables import Fit, tables
from tests.benchmarks.options import known_arm, whole
from tests.benchmarks.pools import POOLS, ROOT, data_folder
from tests.benchmarks.rows import appended, as_run, begin_with_kept, finished, keep
from tests.benchmarks.twins import LIBRARIES, guests

ARMS: Mapping[Family, tuple[str, ...]] = {
    "trees": ("random", "sobol", "snobfit", "genetic", "gp_scalar", "gp", "ensemble"),
    "gaussian process": ("random", "sobol", "snobfit", "genetic", "forest"),
}
LEAST_R2 = 0.5
BEGIN, END = "<!-- results: written by tests/benchmarks/emulators.py -->", "<!-- end of the emulators' results -->"
Job = tuple[Family, str, str, str, int]
"""Family, table, label of the goal, arm, seed."""


@cache
def loaded(table: str) -> tuple[Pool, LoadedSpec]:
    """A table of real experiments with its pool file."""
    spec = load_spec(ROOT / "configs" / "pools" / POOLS[table])
    return load_pool(data_folder() / table, spec), spec


@cache
def emulator(family: Family, table: str) -> Emulator:
    """The emulator of a table."""
    return Emulator.of(*loaded(table), family)


def fit_of(family: Family, table: str) -> Fit:
    """How well an emulator foretells, and what is looked for on it."""
    pool, _ = loaded(table)
    fitted = emulator(family, table)
    shares = [
        (goal.label, None if goal.target is None else fitted.share(goal)) for goal in pool.goals if goal.reachable
    ]
    held = tuple((label, share) for label, share in shares if share is None or share > 0.0)
    stem = Path(table).parent.name if Path(table).stem == "data" else Path(table).stem
    return Fit(family, table, f"{pool.name} ({stem})", len(pool), cross_validated_r2(pool, family), held)


def goal_of(table: str, label: str) -> PoolGoal:
    """The goal of a table with this label."""
    return next(goal for goal in loaded(table)[0].goals if goal.label == label)


def run_job(job: Job) -> Run:
    """Run one campaign."""
    family, table, label, arm, seed = job
    return campaign(emulator(family, table), table, goal_of(table, label), arm, seed)[0]


@cache
def fingerprint(family: Family, table: str, arm: str) -> str:
    """Digest of what an arm is made of, of what the table was read as, and of emulators and this benchmark's runs."""
    names = ("emulator_models.py", "emulator_runs.py", "forecasts.py")
    files = [Path(orchestrator.pool.__file__).with_name("replay.py"), *map(Path(__file__).with_name, names)]
    return digest([*planner_parts(arm, *OBJECTIVES), *map(source, files), loaded(table)[0].digest, family])


def known_runs(path: Path, codes: Mapping[tuple[Family, str, str], str]) -> dict[Job, Run]:
    """The runs that a results file holds of families, tables and arms with these fingerprints."""
    found: dict[Job, Run] = {}
    for row in finished(path):
        told = row["run"]
        if row["code"] == codes.get((told["family"], told["table"], told["arm"])):
            run = as_run(Run, told)
            found[told["family"], run.table, run.goal, run.arm, run.seed] = run
    return found


def wanted(fits: Sequence[Fit], arms: Sequence[str] | None, seeds: int) -> list[Job]:
    """All campaigns, seeds outermost. Guests and further arms run where they may; the usual ones where `ARMS` says."""
    usual = set(itertools.chain(*ARMS.values()))
    chosen = [*usual, *guests()] if arms is None else arms
    runs_on: dict[Family, list[str]] = {}
    for family, named in ARMS.items():
        others = [arm for arm in chosen if arm not in usual and may_run(arm, family)]
        runs_on[family] = [*(arm for arm in named if arm in chosen), *others]
    return [
        (fit.family, fit.table, label, arm, seed)
        for seed in range(1, seeds + 1)
        for fit in fits
        if fit.r2 >= LEAST_R2
        for label, _ in fit.targets
        for arm in runs_on[fit.family]
    ]


def section(runs: Sequence[Run], fits: Sequence[Fit], seeds: int) -> str:
    """The results as they stand in the document."""
    head = (
        f"{made_with((*LIBRARIES, *guests().values()))}; {os.cpu_count()} cores; settings as shipped, {seeds} seeds "
        "asked for, those of each arm that were run are counted in the tables."
    )
    command = ["```", f"python -m tests.benchmarks.emulators --seeds {seeds}", "```", ""]
    return "\n".join([*command, head, "", *tables(runs, fits, LEAST_R2)]).rstrip()


def main() -> None:
    """Run what is missing, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=whole, default=20)
    parser.add_argument("--arms", nargs="*", type=known_arm)
    parser.add_argument("--tables", nargs="*", default=list(POOLS), choices=list(POOLS))
    parser.add_argument("--jobs", type=whole, default=1)
    parser.add_argument("--results", type=Path, default=ROOT / "runs" / "bench-emulators.jsonl")
    parser.add_argument("--document", type=Path, help="also put the tables between their marks in this file")
    parser.add_argument("--show", action="store_true", help="run nothing; the tables of what there is")
    parser.add_argument("--keep", action="store_true", help="also keep the rows in the repository")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if options.document is not None:
        check_marks(options.document, BEGIN, END)
    fits = [fit_of(family, table) for family in ARMS for table in options.tables]
    jobs = wanted(fits, options.arms, options.seeds)
    codes = {(family, table, arm): fingerprint(family, table, arm) for family, table, _, arm, _ in jobs}
    begin_with_kept(options.results)
    known = known_runs(options.results, codes)
    missing = [] if options.show else [job for job in jobs if job not in known]
    if missing:
        with appended(options.results) as file, closing(as_they_end(run_job, missing, options.jobs)) as ended:
            for number, run in enumerate(ended, start=1):
                job: Job = (run.family, run.table, run.goal, run.arm, run.seed)
                known[job] = run
                file.write(json.dumps({"code": codes[job[0], job[1], job[3]], "run": asdict(run)}) + "\n")
                file.flush()
                label = f"{run.arm} on {run.family}, {run.table}, {run.goal}, seed {run.seed}"
                print(f"{number}/{len(missing)} {label}: {run.reached} {run.regrets}", file=sys.stderr)
    text = section([known[job] for job in jobs if job in known], fits, options.seeds)
    print(text)
    if options.document is not None:
        put_between(options.document, BEGIN, END, text)
    if options.keep:
        keep(options.results, ("family", "table", "goal", "arm", "seed"), current=set(codes.values()))


if __name__ == "__main__":
    main()
