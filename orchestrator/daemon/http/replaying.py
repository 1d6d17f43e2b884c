"""A replay asked for over HTTP: in a process of its own, for it is minutes of work that control must not share."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from orchestrator.daemon.http.errors import ApiError

LIMIT_S = 900.0
_PROGRAM = "import os; hasattr(os, 'nice') and os.nice(10); from orchestrator.cli import main; main()"


async def replayed(path: Path, limit_s: float = LIMIT_S) -> dict[str, Any]:
    """What ``lumiflow replay --json`` says of a journal. Raises ApiError when it cannot be replayed, or not in time."""
    words = (sys.executable, "-c", _PROGRAM, "replay", str(path), "--json")
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*words, stdin=nothing, stdout=pipe, stderr=nothing)
    try:
        async with asyncio.timeout(limit_s):
            out, _ = await process.communicate()
    except TimeoutError:
        raise ApiError(503, "TooLong", f"the replay took longer than {limit_s:g} s and was given up") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = out.decode().strip().splitlines()
    said = json.loads(lines[-1]) if lines else {}
    if "same" in said:
        return {key: value for key, value in said.items() if key != "journal"}
    message = said.get("error", {}).get("message", f"the replay ended with exit code {process.returncode}")
    raise ApiError(409, "NotReplayed", str(message))
