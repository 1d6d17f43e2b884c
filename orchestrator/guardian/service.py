"""What systemd wants to hear: datagrams to the socket that it names (sd_notify(3))."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping


class ServiceManager:
    """systemd, or nobody."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        watchdog_us = environ.get("WATCHDOG_USEC", "")
        ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self.watchdog_s = int(watchdog_us) / 1e6 if watchdog_us.isdigit() and ours else None
        """How often it wants to hear ``alive``, s; None where it does not watch."""

    def ready(self) -> None:
        """The service is up."""
        self._tell("READY=1")

    def alive(self) -> None:
        """The loop that calls this still turns."""
        self._tell("WATCHDOG=1")

    def status(self, words: str) -> None:
        """One line for ``systemctl status``."""
        self._tell(f"STATUS={words}")

    def stopping(self) -> None:
        """The service is going down in good order."""
        self._tell("STOPPING=1")

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to:
            to.setblocking(False)
            to.sendto(state.replace("\n", " ").encode(), self._address)
