"""A replay asked for over HTTP: in a process of its own, for it is minutes of work that control must not share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.daemon.http.elsewhere import said_by
from orchestrator.daemon.http.errors import ApiError

LIMIT_S = 900.0


async def replayed(path: Path, limit_s: float = LIMIT_S) -> dict[str, Any]:
    """What ``lumiflow replay --json`` says of a journal. Raises ApiError when it cannot be replayed, or not in time."""
    try:
        code, said = await said_by("replay", str(path), "--json", limit_s=limit_s)
    except TimeoutError:
        raise ApiError(503, "TooLong", f"the replay took longer than {limit_s:g} s and was given up") from None
    if "same" in said:
        return {key: value for key, value in said.items() if key != "journal"}
    message = said.get("error", {}).get("message", f"the replay ended with exit code {code}")
    raise ApiError(409, "NotReplayed", str(message))
