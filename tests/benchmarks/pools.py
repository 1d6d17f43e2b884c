"""Planners on tables of real experiments: `python -m tests.benchmarks.pools`, which `make bench-planners` calls.

Runs what is missing from the results files, prints the tables, and puts them into docs/pools.md. The tables of data are
looked for in LUMIFLOW_DATA, or in ../shared/data beside the repository.
"""

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from orchestrator.pool import Outcome, PoolResult, replay_pool
from tests.benchmarks.documents import made_with, put_between
from tests.benchmarks.rows import begin_with_kept, keep

ROOT = Path(__file__).resolve().parents[2]
POOLS = {
    "agnp.csv": "silver-nanoprisms.yaml",
    "lmu_cspbbr3.csv": "cspbbr3-platelets.yaml",
    "summit/baumgartner_aniline_cn_crosscoupling.csv": "baumgartner-couplings.yaml",
    **{f"summit/reizman_suzuki_case_{case}.csv": "reizman-suzuki.yaml" for case in (1, 2, 3, 4)},
    "olympus/benzylation/data.csv": "benzylation.yaml",
    "olympus/snar/data.csv": "snar.yaml",
    "olympus/colors_bob/data.csv": "colors.yaml",
    "olympus/fullerenes/data.csv": "fullerenes.yaml",
}
OURS = "ensemble"
BEGIN, END = "<!-- results: written by tests/benchmarks/pools.py -->", "<!-- end of results -->"


def data_folder() -> Path:
    """Where the tables are; ends the program if they are not there."""
    folder = Path(os.environ.get("LUMIFLOW_DATA", ROOT.parent / "shared" / "data"))
    missing = [name for name in POOLS if not (folder / name).is_file()]
    if missing:
        sys.exit(f"{folder} does not hold {', '.join(missing)}; name the folder in LUMIFLOW_DATA")
    return folder


def run(seeds: int, jobs: int, results: Path, arms: Sequence[str] | None, *, show: bool) -> list[PoolResult]:
    """All pools, from where the results files end; or what these hold."""
    folder = data_folder()

    def heard(count: int, of: int, outcome: Outcome) -> None:
        print(f"{count}/{of} {outcome.arm}, {outcome.goal}, seed {outcome.seed}: {outcome.reached}", file=sys.stderr)

    found = []
    for table, spec in POOLS.items():
        file = results / f"{table.replace('/', '-').removesuffix('.csv')}.jsonl"
        begin_with_kept(file)
        found.append(
            replay_pool(
                folder / table,
                ROOT / "configs" / "pools" / spec,
                arms=arms,
                seeds=seeds,
                jobs=jobs,
                results=file,
                heard=heard,
                known_only=show,
            )
        )
    return found


def paired(outcomes: Sequence[Outcome]) -> list[str]:
    """One line for each goal, step and other arm: experiments of the ensemble over the other's, as the geometric mean
    over seeds that both have solved, and how likely so large a difference is by chance (Wilcoxon's signed ranks)."""
    from scipy.stats import wilcoxon

    mine = {(o.goal, o.seed): o.reached for o in outcomes if o.arm == OURS}
    lines = []
    for arm, goal in dict.fromkeys((o.arm, o.goal) for o in outcomes if o.arm != OURS):
        for step in range(len(next(o.reached for o in outcomes if (o.arm, o.goal) == (arm, goal)))):
            both = [
                (mine[goal, o.seed][step], o.reached[step])
                for o in outcomes
                if (o.arm, o.goal) == (arm, goal) and (goal, o.seed) in mine
            ]
            logs = [math.log(ours / theirs) for ours, theirs in both if ours and theirs]
            if any(logs):
                ratio, chance = math.exp(sum(logs) / len(logs)), wilcoxon(logs).pvalue
                lines.append(
                    f"{goal}, step {step + 1}: {OURS} / {arm} {ratio:.2f} ({len(logs)} pairs, p = {chance:.2g})"
                )
    return lines


def section(found: list[PoolResult], seeds: int) -> str:
    """The results as they stand in the document."""
    lines = [
        "```",
        f"make bench-planners SEEDS={seeds}",
        "```",
        "",
        f"{made_with(('torch', 'botorch', 'scikit-learn'))}; up to {seeds} seeds an arm (those that were run are "
        "counted), settings as shipped. Seconds per proposal were measured on a shared machine.",
    ]
    for result in found:
        title, _, body = result.text().partition("\n\n")
        tables = body.split("\n\n")[0]
        name = result.results.stem
        lines += ["", f"### {result.pool.name} ({name})", "", title, "", tables, ""]
        lines += [f"- {line}" for line in paired(result.outcomes)]
    return "\n".join(lines)


def main() -> None:
    """Run, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--arms", nargs="*", help="those of each pool file, if not given")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--show", action="store_true", help="run nothing; the tables of what there is")
    parser.add_argument("--keep", action="store_true", help="also keep the rows in the repository")
    parser.add_argument("--results", type=Path, default=ROOT / "runs" / "pools")
    parser.add_argument("--document", type=Path, default=ROOT / "docs" / "pools.md")
    options = parser.parse_args()
    found = run(options.seeds, options.jobs, options.results, options.arms, show=options.show)
    text = section(found, options.seeds)
    print(text)
    put_between(options.document, BEGIN, END, text)
    if options.keep:
        for result in found:
            keep(result.results, ("arm", "goal", "seed"))


if __name__ == "__main__":
    main()
