"""Planners replayed on tables of past experiments: how many experiments would each have needed?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageRefused
from orchestrator.pool.conditions import Pool
from orchestrator.pool.figure import write_figure
from orchestrator.pool.replay import Outcome
from orchestrator.pool.running import Heard, run_pool
from orchestrator.pool.spec import LoadedSpec, arm_problem, load_spec
from orchestrator.pool.summary import Row, as_markdown, heading, summarise
from orchestrator.pool.table import load_pool

__all__ = ["LoadedSpec", "Outcome", "Pool", "PoolResult", "Row", "load_pool", "load_spec", "replay_pool"]


@dataclass(frozen=True)
class PoolResult:
    """What `lumiflow pool` found."""

    pool: Pool
    rows: tuple[Row, ...]
    outcomes: tuple[Outcome, ...]
    results: Path

    def text(self) -> str:
        """For people."""
        evidence = sorted({f"{o.arm}, seed {o.seed}: {o.evidence}" for o in self.outcomes if o.evidence})
        shown = evidence[:5] + ([f"and {len(evidence) - 5} more verdicts in {self.results}"] if evidence[5:] else [])
        verdicts = "\n\n" + "\n".join(shown) if shown else ""
        return f"{heading(self.pool)}\n\n{as_markdown(self.pool, self.rows)}{verdicts}\n\nresults: {self.results}"

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return {
            "pool": self.pool.name,
            "digest": self.pool.digest,
            "conditions": len(self.pool),
            "conditions_failed": sum(value is None for value in self.pool.values),
            "rows_of_table": self.pool.rows,
            "rows_left_out": self.pool.left_out,
            "initial": self.pool.initial,
            "budget": self.pool.budget,
            "results": str(self.results),
            "rows": [row.as_dict() for row in self.rows],
        }


def replay_pool(
    data: Path,
    spec: Path,
    *,
    arms: Sequence[str] | None = None,
    seeds: int | None = None,
    jobs: int = 1,
    results: Path | None = None,
    fresh: bool = False,
    out: Path | None = None,
    heard: Heard,
    known_only: bool = False,
) -> PoolResult:
    """Replay every arm on a table, and sum up; with ``known_only`` only sum up what the results file holds.

    Raises ConfigError for files that cannot be used, UsageRefused for arms, figures or results files that are none.
    """
    loaded = load_spec(spec)
    chosen = tuple(arms or loaded.config.arms)
    for arm in chosen:
        wrong = arm_problem(arm)
        if wrong:
            allowed, near = wrong
            raise UsageRefused(f"there is no arm {arm!r}: {allowed}" + (f"; did you mean {near}?" if near else ""))
    if len(set(chosen)) != len(chosen):
        raise UsageRefused("an arm is named twice")
    if out is not None and out.suffix not in (".svg", ".html"):
        raise UsageRefused(f"{out}: a figure ends in .svg or .html")
    pool = load_pool(data, loaded)
    kept = results or Path("runs") / "pools" / f"{spec.stem}-{pool.digest[:8]}.jsonl"
    wanted = seeds or loaded.config.seeds
    outcomes = run_pool(pool, chosen, wanted, jobs=jobs, results=kept, fresh=fresh, heard=heard, known_only=known_only)
    rows = summarise(pool, outcomes, chosen)
    if out is not None:
        write_figure(out, pool, outcomes, rows, chosen)
    return PoolResult(pool, tuple(rows), tuple(outcomes), kept)
