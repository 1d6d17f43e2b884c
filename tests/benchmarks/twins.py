"""Planners on physics twins without the rig: `python -m tests.benchmarks.twins`, which `make bench-planners` calls.

Eleven targets from 1.9 to 2.9 eV, five and eight inputs, readings with a noise of 1 meV, failures, recipes that the
pumps cannot run. What is recommended is scored on the twin's noiseless steady state, which no planner sees. Runs that
the results file holds are not repeated as long as neither what the arm is made of, twins nor libraries have changed.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import cache
from pathlib import Path

from orchestrator.pool.fingerprint import digest, imported, modules_of, planner_parts, source
from orchestrator.processes import as_they_end
from tests.benchmarks.documents import check_marks, made_with, put_between
from tests.benchmarks.options import known_arm, whole
from tests.benchmarks.rows import appended, as_run, begin_with_kept, finished, keep
from tests.benchmarks.twin_runs import LOOKS, TARGETS_EV, Run, one_run
from tests.benchmarks.twin_tables import tables

ROOT = Path(__file__).resolve().parents[2]
ARMS = ("random", "sobol", "snobfit", "genetic", "forest", "gp_scalar", "gp", "ensemble")
GUESTS = {"baybe": "baybe", "ax": "ax-platform", "bofire": "bofire"}
"""Strategies of other projects, and the distributions that bring them; compared where they are installed."""
RUNS = tuple(ROOT / "tests" / "benchmarks" / name for name in ("forecasts.py", "twin_reactor.py", "twin_runs.py"))
LIBRARIES = ("botorch", "gpytorch", "numpy", "scikit-learn", "scipy", "torch")
BEGIN, END = "<!-- results: written by tests/benchmarks/twins.py -->", "<!-- end of the twins' results -->"
Job = tuple[str, int, str, float, int]


@cache
def fingerprint(arm: str) -> str:
    """Digest of what an arm is made of, of what the twins here are made of, and of this benchmark's runs."""
    files = [*RUNS, *(ROOT / "simulators" / f"{name}.py" for name in twin_modules())]
    return digest([*planner_parts(arm), *map(source, files)])


def twin_modules() -> list[str]:
    """The modules of `simulators` that these twins are made of."""
    return modules_of(*(module for file in RUNS for module in imported(file, "simulators")))


def guests() -> dict[str, str]:
    """The guests that are installed here."""
    return {arm: name for arm, name in GUESTS.items() if importlib.util.find_spec(arm) is not None}


def known_runs(path: Path, codes: Mapping[str, str], absent: Collection[str] = ()) -> dict[Job, Run]:
    """The runs that a results file holds of arms with these fingerprints, and of arms that are ``absent`` here: what
    these are made of nobody can tell without their library."""
    found = {}
    for row in finished(path):
        if row["code"] == codes.get(row["run"]["arm"]) or row["run"]["arm"] in absent:
            run = as_run(Run, row["run"])
            found[run.arm, run.inputs, run.condition, run.target_ev, run.seed] = run
    return found


def run_job(job: Job) -> Run:
    """Run one campaign."""
    return one_run(*job)  # type: ignore[arg-type]


def section(runs: Sequence[Run], seeds: int) -> str:
    """The results as they stand in the document."""
    head = (
        f"{made_with((*LIBRARIES, *guests().values()))}; {os.cpu_count()} cores; settings as shipped, {seeds} seeds "
        "asked for, those of each arm that were run are counted in the tables."
    )
    command = ["```", f"python -m tests.benchmarks.twins --seeds {seeds}", "```", ""]
    return "\n".join([*command, head, "", *tables(runs)]).rstrip()


def main() -> None:
    """Run what is missing, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=whole, default=20)
    parser.add_argument("--arms", nargs="*", type=known_arm, default=[*ARMS, *GUESTS])
    parser.add_argument("--inputs", type=int, nargs="*", default=[5, 8], choices=(5, 8))
    parser.add_argument("--conditions", nargs="*", default=list(LOOKS), choices=list(LOOKS))
    parser.add_argument("--targets", type=float, nargs="*", default=list(TARGETS_EV))
    parser.add_argument("--jobs", type=whole, default=1)
    parser.add_argument("--results", type=Path, default=ROOT / "runs" / "bench-twins.jsonl")
    parser.add_argument("--document", type=Path, help="also put the tables between their marks in this file")
    parser.add_argument("--show", action="store_true", help="run nothing; the tables of what there is")
    parser.add_argument("--keep", action="store_true", help="also keep the rows in the repository")
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if options.document is not None:
        check_marks(options.document, BEGIN, END)
    absent = {arm for arm in options.arms if arm in GUESTS and arm not in guests()}
    codes = {arm: fingerprint(arm) for arm in options.arms if arm not in absent}
    begin_with_kept(options.results)
    known = known_runs(options.results, codes, absent)
    for missed in sorted(absent):
        print(f"{missed} is not installed: its rows are shown as they are, and none is added", file=sys.stderr)
    wanted: list[Job] = [
        (arm, inputs, condition, target, seed)
        for seed in range(1, options.seeds + 1)
        for condition in options.conditions
        for inputs in options.inputs
        for arm in options.arms
        for target in dict.fromkeys(options.targets)
    ]
    missing = [] if options.show else [job for job in wanted if job not in known and job[0] not in absent]
    if missing:
        with appended(options.results) as file, closing(as_they_end(run_job, missing, options.jobs)) as ended:
            for number, run in enumerate(ended, start=1):
                known[run.arm, run.inputs, run.condition, run.target_ev, run.seed] = run
                file.write(json.dumps({"code": codes[run.arm], "run": asdict(run)}) + "\n")
                file.flush()
                label = f"{run.arm}, {run.inputs} inputs, {run.condition}, {run.target_ev} eV, seed {run.seed}"
                print(f"{number}/{len(missing)} {label}: {run.truth_mev} meV", file=sys.stderr)
    text = section([known[job] for job in wanted if job in known], options.seeds)
    print(text)
    if options.document is not None:
        put_between(options.document, BEGIN, END, text)
    if options.keep:
        keep(options.results, ("arm", "inputs", "condition", "target_ev", "seed"), current=set(codes.values()))


if __name__ == "__main__":
    main()
