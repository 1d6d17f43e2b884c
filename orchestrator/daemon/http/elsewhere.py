"""A command of the command line in a process of its own, for work that control must not share."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

_PROGRAM = "import os; hasattr(os, 'nice') and os.nice(10); from orchestrator.cli import main; main()"


async def said_by(*words: str, limit_s: float) -> tuple[int | None, dict[str, Any]]:
    """The exit code of ``lumiflow WORDS`` and the JSON that it printed last ({} for none).

    Raises TimeoutError. However the waiting ends, the process has ended with it.
    """
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _PROGRAM, *words, stdin=nothing, stdout=pipe, stderr=nothing
    )
    try:
        async with asyncio.timeout(limit_s):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = out.decode().strip().splitlines()
    return process.returncode, json.loads(lines[-1]) if lines else {}
