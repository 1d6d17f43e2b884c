"""What a proof test has shown, kept in a journal of its own and printed as a table."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from orchestrator.clock.virtual_time import UtcClock, run_real
from orchestrator.errors import UsageRefused
from orchestrator.journal.journal import Journal

Outcome = Literal["passed", "failed", "left out"]


@dataclass(frozen=True)
class Evidence:
    """One drill: what was done, what was to come of it within ``bound_s``, what came, and after how long.

    ``after_s`` is None where nothing came, or where no time is to be told.
    """

    drill: str
    done: str
    expected: str
    bound_s: float | None
    outcome: Outcome
    seen: str
    after_s: float | None = None


class Kept:
    """The journal of one proof test, in a folder that may hold earlier ones. Raises UsageRefused, JournalError."""

    def __init__(self, folder: Path, header: Mapping[str, Any]) -> None:
        if folder.exists() and not folder.is_dir():
            raise UsageRefused(f"--out {folder}: is a file, and a folder is wanted")
        folder.mkdir(parents=True, exist_ok=True)
        earlier = folder.glob("safety-test-[0-9][0-9][0-9][0-9].sqlite")
        number = 1 + max((int(path.stem[-4:]) for path in earlier), default=0)
        self.path = folder / f"safety-test-{number:04d}.sqlite"
        self._append([("safety_test_began", header)])

    def keep(self, evidence: Evidence) -> None:
        """Write one drill down."""
        self._append([("drill", asdict(evidence))])

    def end(self, passed: bool) -> None:
        """Write the verdict down."""
        self._append([("safety_test_ended", {"passed": passed})])

    def _append(self, events: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
        async def write() -> None:
            loop = asyncio.get_running_loop()
            if self.path.exists():
                with Journal.open(self.path, readonly=True) as earlier:
                    clock = UtcClock(loop, start_s=earlier.last_t_s)
                journal = Journal.open(self.path, clock)
            else:
                journal = Journal.create(self.path, UtcClock(loop))
            with journal:
                for kind, data in events:
                    await journal.append(kind, data)

        run_real(write())


def as_text(found: Iterable[Evidence]) -> str:
    """A table, one line a drill."""
    rows = [("", "drill", "seen", "after", "bound")]
    marks = {"passed": "ok", "failed": "FAILED", "left out": "left out"}
    for one in found:
        after = "" if one.after_s is None else f"{one.after_s:.1f} s"
        bound = "" if one.bound_s is None else f"{one.bound_s:g} s"
        rows.append((marks[one.outcome], one.drill, one.seen, after, bound))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    widths[2] = min(widths[2], 60)
    return "\n".join(
        "  ".join([*(cell[:width].ljust(width) for cell, width in zip(row, widths, strict=False)), row[4]]).rstrip()
        for row in rows
    )
