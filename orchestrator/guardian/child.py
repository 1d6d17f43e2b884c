"""The daemon as the guardian's child process: started, watched, and if it must be killed with all that it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.guardian.beat import ENVIRONMENT

_ARENAS = "2"
_SERVICE_WORDS = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_LOOK_S = 0.005


class Child:
    """One life of the daemon, in a session of its own, so that a Ctrl-C at the terminal reaches it only from here."""

    def __init__(self, command: Sequence[str]) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.connection = ours
        environ = daemon_environ(os.environ)
        environ[ENVIRONMENT] = str(theirs.fileno())
        try:
            with theirs:
                self._process = subprocess.Popen(
                    list(command), env=environ, pass_fds=(theirs.fileno(),), start_new_session=True
                )
        except OSError:
            ours.close()
            raise
        # Where memory runs out, the daemon with its planner is to go before the process that can switch heaters off.
        with contextlib.suppress(OSError):
            Path(f"/proc/{self._process.pid}/oom_score_adj").write_text("500")

    @property
    def pid(self) -> int:
        """Its process id, which is also that of its process group."""
        return self._process.pid

    def died(self) -> int | None:
        """Its exit status, negative the signal that ended it, once it has died; None while it lives.

        A dead process is left for ``reap``: until then nobody else can be given its number, or its group's.
        """
        if sys.platform in ("darwin", "win32"):  # no waitid
            return self._process.poll()
        if self._process.returncode is not None:
            return self._process.returncode
        found = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is None:
            return None
        return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status

    def signal(self, kind: signal.Signals) -> None:
        """Send it a signal, if it lives."""
        if self.died() is None:
            os.kill(self.pid, kind)

    async def put_down(self, patience_s: float) -> bool:
        """Kill it and all of its group, and wait until it is dead, so that its ports are free. False: it is not yet."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        for _ in range(int(patience_s / _LOOK_S)):
            if self.died() is not None:
                break
            await asyncio.sleep(_LOOK_S)
        return self.died() is not None

    def reap(self) -> None:
        """Let go of it and of the socket. What it started and left behind is killed first."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.connection.close()
        if self.died() is not None:
            self._process.wait()


def daemon_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """What a daemon is started with: not what systemd says to the guardian, and few heaps for its many threads.

    Every campaign has threads of its own. Where glibc gives each a heap (arena), what one has freed is lost to the
    others, and the process grows with the number of its campaigns. Other allocators take no notice.
    """
    kept = {name: value for name, value in environ.items() if name not in _SERVICE_WORDS}
    return {"MALLOC_ARENA_MAX": _ARENAS, **kept}
