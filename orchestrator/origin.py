"""Where the program comes from: which version it is, and whether its four rooms, of plain names, are this project's."""

from __future__ import annotations

import importlib.util
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOMS = ("orchestrator", "drivers", "planners", "simulators")


def check_one_origin() -> None:
    """Exit with an explanation unless all four packages come from one folder.

    The names are common enough for another installed package to shadow one of them; a rig must not be run by a
    stranger's ``drivers``.
    """
    homes: dict[str, Path | None] = {}
    for room in ROOMS:
        spec = importlib.util.find_spec(room)
        origin = None if spec is None or spec.origin is None else Path(spec.origin).resolve()
        homes[room] = None if origin is None else origin.parent.parent
    if len(set(homes.values())) != 1 or None in homes.values():
        found = "\n".join(f"  {room}: {home or 'not found'}" for room, home in homes.items())
        sys.exit(
            "lumiflow: its four packages must come from one folder, but they come from\n"
            f"{found}\nAnother package of the same name is in the way: install Lumiflow in an environment of its own."
        )


def installed_version(package: str) -> str:
    """The version of an installed package, or a word that says it is not installed as one."""
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
