"""Planners on tables of real experiments: `python -m tests.benchmarks.pools`, which `make bench-planners` calls.

Runs what is missing from the results files, prints the tables, and puts them into docs/pools.md. The tables of data are
looked for in LUMIFLOW_DATA, or in ../shared/data beside the repository.
"""

import argparse
import datetime
import importlib.metadata
import os
import platform
import sys
from pathlib import Path

from orchestrator.pool import Outcome, PoolResult, replay_pool

ROOT = Path(__file__).resolve().parents[2]
POOLS = {"silver-nanoprisms.yaml": "agnp.csv", "cspbbr3-platelets.yaml": "lmu_cspbbr3.csv"}
BEGIN, END = "<!-- results: written by tests/benchmarks/pools.py -->", "<!-- end of results -->"


def data_folder() -> Path:
    """Where the tables are; ends the program if they are not there."""
    folder = Path(os.environ.get("LUMIFLOW_DATA", ROOT.parent / "shared" / "data"))
    missing = [name for name in POOLS.values() if not (folder / name).is_file()]
    if missing:
        sys.exit(f"{folder} does not hold {', '.join(missing)}; name the folder in LUMIFLOW_DATA")
    return folder


def run(seeds: int, jobs: int, results: Path) -> list[PoolResult]:
    """Both pools, from where the results files end."""
    folder = data_folder()

    def heard(count: int, of: int, outcome: Outcome) -> None:
        print(f"{count}/{of} {outcome.arm}, {outcome.goal}, seed {outcome.seed}: {outcome.reached}", file=sys.stderr)

    return [
        replay_pool(
            folder / table,
            ROOT / "configs" / "pools" / spec,
            seeds=seeds,
            jobs=jobs,
            results=results / f"{Path(spec).stem}.jsonl",
            heard=heard,
        )
        for spec, table in POOLS.items()
    ]


def section(found: list[PoolResult], seeds: int) -> str:
    """The results as they stand in the document."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "botorch", "scikit-learn"))
    lines = [
        "```",
        f"make bench-planners SEEDS={seeds}",
        "```",
        "",
        f"{datetime.datetime.now(datetime.UTC).date()}, {platform.system()} {platform.machine()}, Python "
        f"{platform.python_version()}, {versions}; {seeds} seeds an arm, settings as shipped. Seconds per proposal "
        "were measured on a shared machine.",
    ]
    for result in found:
        title, _, body = result.text().partition("\n\n")
        tables = body.split("\n\n")[0]
        lines += ["", f"### {result.pool.name}", "", title, "", tables]
    return "\n".join(lines)


def main() -> None:
    """Run, print, and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--results", type=Path, default=ROOT / "runs" / "pools")
    parser.add_argument("--document", type=Path, default=ROOT / "docs" / "pools.md")
    options = parser.parse_args()
    text = section(run(options.seeds, options.jobs, options.results), options.seeds)
    print(text)
    before, _, rest = options.document.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    options.document.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
