"""What a planner is made of, as a short digest: results of one program are not taken for those of another."""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
from functools import cache
from pathlib import Path

_LIBRARIES = ("botorch", "gpytorch", "numpy", "scikit-learn", "scipy", "torch")


@cache
def fingerprint(arm: str) -> str:
    """Digest of the source of all planners and of the replay, an arm's settings, and the libraries' versions.

    Comments and layout do not count.

    Raises:
        PlannerError: an unknown arm.
    """
    import planners

    here = Path(__file__).parent
    files = [*sorted(Path(planners.__file__).parent.glob("*.py")), here / "replay.py", here / "table.py"]
    parts = [f"{path.name}: {ast.dump(ast.parse(path.read_bytes()))}" for path in files]
    parts += [f"{name} {importlib.metadata.version(name)}" for name in _LIBRARIES]
    parts += [f"{arm} {setting}={value}" for setting, value in sorted(planners.strategy_settings(arm).items())]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
