"""``python -m orchestrator.daemon DAEMON.yaml [--paused]``: the daemon itself, under a guardian or alone.

Ctrl-C or SIGTERM once: every rig goes through its safe sequence, what runs can be resumed. Twice: without flushes.
Three times: the process ends where it stands, and the guardian makes the rigs safe. SIGHUP ends
nothing. Exit codes are those of the command line.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from orchestrator.clock.virtual_time import run_real
from orchestrator.console.interrupts import ASKING, never_suspended
from orchestrator.daemon.config import LoadedDaemon, load_daemon
from orchestrator.daemon.edges import Edges, prepare_edges
from orchestrator.daemon.http import prepare_http
from orchestrator.daemon.logs import log_to_stderr
from orchestrator.daemon.planner_process import PlannerProcesses
from orchestrator.daemon.promptness import stay_prompt
from orchestrator.daemon.service import Daemon, inherited_heart
from orchestrator.errors import EXIT_FAULT, LumiflowError

EXIT_LEFT = 70
"""Left in the middle, because somebody asked three times."""

_log = logging.getLogger("lumiflow.daemon")


def main(words: Sequence[str] | None = None) -> int:
    """Parse, load, serve until told to end. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m orchestrator.daemon", description=__doc__)
    parser.add_argument("file", type=Path, help="the daemon's file")
    parser.add_argument("--paused", action="store_true", help="begin nothing until a person says so")
    options = parser.parse_args(words)
    log_to_stderr()
    try:
        run_real(serve(load_daemon(options.file), paused=options.paused))
    except LumiflowError as error:
        _log.critical("%s", error)
        return error.exit_code
    except OSError as error:
        _log.critical("%s", error)
        return EXIT_FAULT
    return 0


async def serve(loaded: LoadedDaemon, *, paused: bool) -> None:
    """Bring the daemon up, serve until a signal or the guardian's end, leave every rig safe. Raises LumiflowError."""
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    heart = inherited_heart()
    planners = PlannerProcesses()
    daemon = Daemon(loaded, heart=heart, decider=planners.decider)
    server = None
    edges = Edges()
    asked = 0

    def end(why: str) -> None:
        """Heard in the main thread, perhaps in the middle of anything."""
        nonlocal asked
        asked += 1
        if asked > 2:
            os._exit(EXIT_LEFT)  # also where the loop no longer turns
        loop.call_soon_threadsafe(_log.warning, "%s: %s", why, ("the rigs are made safe", "no flushes")[asked - 1])
        loop.call_soon_threadsafe(ending.set if asked == 1 else daemon.hurry)

    for kind in ASKING:
        signal.signal(kind, lambda number, frame: end(signal.Signals(number).name))
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, lambda number, frame: None)
    heart.listen(end)
    with never_suspended(loop, _log.warning):
        try:
            # What the file asks for and cannot be had is refused before any rig is touched.
            server = prepare_http(daemon, loaded)
            edges = await prepare_edges(daemon, loaded)
            await daemon.start(paused=paused)
            await server.start()
            edges.start()
            stay_prompt()
            heart.ready()
            await ending.wait()
        finally:
            await daemon.close()
            await edges.close()
            if server is not None:
                await server.stop()
            planners.close()
            heart.close()


if __name__ == "__main__":
    sys.exit(main())
