"""What a planner is made of, as a short digest: results of one program are not taken for those of another.

A strategy is made of the modules of `planners` that its own imports, directly or by way of others. So a change to one
strategy leaves the results of those that do not share the changed module as good as they were.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
from collections.abc import Iterator
from functools import cache
from pathlib import Path

_LIBRARIES = ("botorch", "gpytorch", "numpy", "scikit-learn", "scipy", "torch")


@cache
def fingerprint(arm: str) -> str:
    """Digest of what an arm is made of and of the replay.

    Raises:
        PlannerError: an unknown arm.
    """
    here = Path(__file__).parent
    return digest([*planner_parts(arm), *(source(here / name) for name in ("replay.py", "table.py"))])


def digest(parts: list[str]) -> str:
    """Twelve digits that stand for some texts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def planner_parts(arm: str) -> list[str]:
    """The source of the modules that a strategy uses, its settings, and the versions of the libraries; those of an
    optimiser of another project include its own.

    Raises:
        PlannerError: an unknown arm.
    """
    import planners

    folder = Path(planners.__file__).parent
    parts = [source(folder / f"{name}.py") for name in modules_of(type(planners.strategy(arm)).__module__)]
    guests = importlib.metadata.packages_distributions().get(arm, [])
    parts += [f"{name} {importlib.metadata.version(name)}" for name in (*_LIBRARIES, *sorted(guests))]
    return [*parts, *(f"{arm} {name}={value}" for name, value in sorted(planners.strategy_settings(arm).items()))]


def modules_of(module: str) -> list[str]:
    """The modules of `planners`, by their names in that package, that one of them imports directly or not, wherever in
    its code; itself included."""
    import planners

    found: set[str] = set()
    waiting = [module.removeprefix("planners.")]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _imported(Path(planners.__file__).parent / f"{name}.py")
    return sorted(found)


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module == "planners":
            yield from (each.name if path.with_name(f"{each.name}.py").exists() else "__init__" for each in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("planners."):
            yield (node.module or "").split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (each.name.split(".")[1] for each in node.names if each.name.startswith("planners."))


def source(path: Path) -> str:
    """What a source file does; comments and layout do not count."""
    return f"{path.name}: {ast.dump(_parsed(path))}"


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())
