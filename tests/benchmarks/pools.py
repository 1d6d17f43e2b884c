"""Planners on tables of real experiments: `python -m tests.benchmarks.pools`, which `make bench-planners` calls.

Runs what is missing from the results files and prints the tables; `--document docs/pools.md` also puts them in there.
The tables of data are looked for in LUMIFLOW_DATA, or in ../shared/data beside the repository. With `--further FOLDER`
it does the same for tables that nobody had looked at while the planners were made, wherever somebody has put them.
"""

import argparse
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from orchestrator.pool import Outcome, PoolResult, replay_pool
from orchestrator.pool.fingerprint import fingerprint
from tests.benchmarks.documents import check_marks, made_with, put_between
from tests.benchmarks.options import known_arm, whole
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
FURTHER = {
    "P3HT_dataset.csv": "p3ht-composites.yaml",
    "Perovskite_dataset.csv": "perovskite-stability.yaml",
    "AutoAM_dataset.csv": "printing.yaml",
    "dataset_alkox/data.csv": "alkox.yaml",
    "dataset_colors_n9/data.csv": "colors-n9.yaml",
    "dataset_suzuki/data.csv": "suzuki-in-flow.yaml",
    "dataset_hplc/data.csv": "hplc.yaml",
    "dataset_photo_pce10/data.csv": "photobleaching.yaml",
    "dataset_photo_wf3/data.csv": "photobleaching.yaml",
    "DreherDoyle.csv": "buchwald-hartwig.yaml",
    "baumgartenter_benzamide_cross_coupling.csv": "baumgartner-couplings.yaml",
    "dataset_crossed_barrel/data.csv": "crossed-barrel.yaml",
    "direct_arylation.csv": "direct-arylation.yaml",
    "aap9112_Data_File_S1.csv": "suzuki-screen.yaml",
    "color_pH_data.csv": "indicator-colours.yaml",
}
"""By the names that they have where the pool files say they come from."""
OURS = "ensemble"
ARMS = ("random", "sobol", "snobfit", "genetic", "forest", "gp_scalar", "gp", OURS)
BEGIN, END = "<!-- results: written by tests/benchmarks/pools.py -->", "<!-- end of results -->"
BEGIN_FURTHER, END_FURTHER = BEGIN.replace(" -->", " --further -->"), END.replace("results", "further results")


def data_folder() -> Path:
    """Where the tables are; ends the program if they are not there."""
    folder = Path(os.environ.get("LUMIFLOW_DATA", ROOT.parent / "shared" / "data"))
    missing = [name for name in POOLS if not (folder / name).is_file()]
    if missing:
        sys.exit(f"{folder} does not hold {', '.join(missing)}; name the folder in LUMIFLOW_DATA")
    return folder


def run(
    further: Path | None, seeds: int, jobs: int, results: Path, arms: Sequence[str], *, show: bool
) -> list[PoolResult]:
    """All pools, or all further ones that the folder holds, from where the results files end; or what these hold."""
    folder = further or data_folder()
    tables = POOLS if further is None else {name: spec for name, spec in FURTHER.items() if (folder / name).is_file()}

    if not tables:
        sys.exit(f"{folder} holds none of {', '.join(FURTHER)}")

    def heard(count: int, of: int, outcome: Outcome) -> None:
        print(f"{count}/{of} {outcome.arm}, {outcome.goal}, seed {outcome.seed}: {outcome.reached}", file=sys.stderr)

    found = []
    for table, spec in tables.items():
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
    over seeds, and how likely so large a difference is by chance (Wilcoxon's signed ranks). A run that did not get
    there counts as one experiment more than its budget."""
    from scipy.stats import wilcoxon

    mine = {(o.goal, o.seed): o for o in outcomes if o.arm == OURS}
    lines = []
    for arm, goal in dict.fromkeys((o.arm, o.goal) for o in outcomes if o.arm != OURS):
        for step in range(len(next(o.reached for o in outcomes if (o.arm, o.goal) == (arm, goal)))):
            logs = [
                math.log(_took(mine[goal, o.seed], step) / _took(o, step))
                for o in outcomes
                if (o.arm, o.goal) == (arm, goal) and (goal, o.seed) in mine
            ]
            if any(logs):
                ratio, chance = math.exp(sum(logs) / len(logs)), wilcoxon(logs).pvalue
                lines.append(
                    f"{goal}, step {step + 1}: {OURS} / {arm} {ratio:.2f} ({len(logs)} pairs, p = {chance:.2g})"
                )
    return lines


def _took(outcome: Outcome, step: int) -> int:
    return outcome.reached[step] or outcome.budget + 1


def section(found: list[PoolResult], seeds: int, command: str) -> str:
    """The results as they stand in the document."""
    lines = [
        "```",
        f"{command}{seeds}",
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
    parser.add_argument("--seeds", type=whole, default=50)
    parser.add_argument("--arms", nargs="*", type=known_arm, default=ARMS, help=f"if not given: {' '.join(ARMS)}")
    parser.add_argument("--further", type=Path, help="the folder that holds further tables, or some of them")
    parser.add_argument("--jobs", type=whole, default=1)
    parser.add_argument("--show", action="store_true", help="run nothing; the tables of the rows that there are")
    parser.add_argument("--keep", action="store_true", help="also keep the rows in the repository")
    parser.add_argument("--results", type=Path, default=ROOT / "runs" / "pools")
    parser.add_argument("--document", type=Path, help="also put the tables between their marks in this file")
    options = parser.parse_args()
    command, marks = "make bench-planners SEEDS=", (BEGIN, END)
    if options.further is not None:
        command, marks = "python -m tests.benchmarks.pools --further FOLDER --seeds ", (BEGIN_FURTHER, END_FURTHER)
    if options.document is not None:
        check_marks(options.document, *marks)
    found = run(options.further, options.seeds, options.jobs, options.results, options.arms, show=options.show)
    text = section(found, options.seeds, command)
    print(text)
    if options.document is not None:
        put_between(options.document, *marks, text)
    if options.keep:
        for result in found:
            keep(result.results, ("arm", "goal", "seed"), current=set(map(fingerprint, options.arms)))


if __name__ == "__main__":
    main()
