"""What a planner is made of, as a short digest: results of one program are not taken for those of another.

A strategy is made of the modules of `planners` that its own imports, directly or by way of others. So a change to one
strategy leaves the results of those that do not share the changed module as good as they were.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path

OBJECTIVES = ("planners.one_output", "planners.several")
"""What a replay on a table hands to a planner as its objective."""
_LIBRARIES = ("botorch", "gpytorch", "numpy", "scikit-learn", "scipy", "torch")


@cache
def fingerprint(arm: str) -> str:
    """Digest of what an arm is made of, of its objective and of the replay. How a table is read does not count: what
    was read has a digest of its own (`orchestrator.pool.conditions.Pool`).

    Raises:
        PlannerError: an unknown arm.
    """
    return digest([*planner_parts(arm, *OBJECTIVES), source(Path(__file__).with_name("replay.py"))])


def digest(parts: list[str]) -> str:
    """Twelve digits that stand for some texts."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def planner_parts(arm: str, *also: str) -> list[str]:
    """The source of the modules that a strategy and ``also`` other modules of `planners` use, its settings, and the
    versions of the libraries; those of an optimiser of another project include its own.

    Raises:
        PlannerError: an unknown arm.
    """
    import planners

    folder = Path(planners.__file__).parent
    own = type(planners.strategy(arm)).__module__
    parts = [source(folder / f"{name}.py") for name in modules_of(own, *also)]
    guests = importlib.metadata.packages_distributions().get(arm, [])
    parts += [f"{name} {importlib.metadata.version(name)}" for name in (*_LIBRARIES, *sorted(guests))]
    return [*parts, *(f"{arm} {name}={value}" for name, value in sorted(planners.strategy_settings(arm).items()))]


def modules_of(*modules: str) -> list[str]:
    """The modules of a package, by their names in it, that some of them import directly or not, wherever in their code;
    themselves included."""
    package = modules[0].split(".")[0]
    folder = _folder(package)
    found: set[str] = set()
    waiting = [module.removeprefix(f"{package}.") for module in modules]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += (each.removeprefix(f"{package}.") for each in imported(folder / f"{name}.py", package))
    return sorted(found)


def imported(path: Path, package: str) -> list[str]:
    """The modules of a package that a source file imports itself, by their full names."""
    return sorted(set(_imported(path, package)))


def _imported(path: Path, package: str) -> Iterator[str]:
    here = f"{package}."
    for node in ast.walk(_parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.module == package:
            modules = {file.stem for file in _folder(package).glob("*.py")}
            yield from (here + (each.name if each.name in modules else "__init__") for each in node.names)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith(here):
            yield here + (node.module or "").split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (here + each.name.split(".")[1] for each in node.names if each.name.startswith(here))


def _folder(package: str) -> Path:
    found = importlib.util.find_spec(package)
    assert found is not None and found.origin is not None
    return Path(found.origin).parent


def source(path: Path) -> str:
    """What a source file does; comments and layout do not count."""
    return f"{path.name}: {ast.dump(_parsed(path))}"


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())
