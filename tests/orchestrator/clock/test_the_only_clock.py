"""Nothing of ours asks the wall for the time but the loop's clock: what does could not run in virtual time."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ROOMS = ("orchestrator", "drivers", "planners", "simulators")
ASK_THE_WALL = {
    "orchestrator/clock/virtual_time.py": {"time.monotonic", "datetime.now"},
    "orchestrator/pool/running.py": {"time.perf_counter"},  # how long a planner took, which is no part of its replay
}
NOW = ("now", "utcnow", "today")


def asked(source: str) -> set[str]:
    """What a module takes from `time` at all, and from `datetime` to learn what time it is."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            found |= {f"time.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {f"time as {alias.asname}" for alias in node.names if alias.name == "time" and alias.asname}
        elif isinstance(node, ast.Attribute):
            base = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "")
            if base == "time" or (base in ("datetime", "date") and node.attr in NOW):
                found.add(f"{base}.{node.attr}")
    return found


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import time\ntime.sleep(1.0)", {"time.sleep"}),
        ("from time import monotonic", {"time.monotonic"}),
        ("import time as t", {"time as t"}),
        ("import datetime\ndatetime.datetime.now()", {"datetime.now"}),
        ("from datetime import datetime, UTC\nwhen = datetime.now", {"datetime.now"}),
        ("from datetime import datetime\ndatetime.fromisoformat(text)", set()),
        ("loop.time()", set()),
    ],
)
def test_who_asks_the_wall_is_found(source: str, found: set[str]) -> None:
    assert asked(source) == found


def test_the_loops_clock_alone_asks_the_wall() -> None:
    modules = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    assert len(modules) > 300
    every = {path.relative_to(ROOT).as_posix(): asked(path.read_text("utf-8")) for path in modules}
    assert {module: found for module, found in every.items() if found} == ASK_THE_WALL
