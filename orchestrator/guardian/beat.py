"""What daemon and guardian say to each other, and the daemon's end of it.

One stream socket, inherited by the daemon (its descriptor is named in the environment). Each message is one line of
JSON, a list of the word and its arguments:

* daemon to guardian: ``["ready"]`` all rigs are up; ``["begin", rig]`` from now on this rig's control loop beats and
  its ports may be in use; ``["beat", rig]``; ``["end", rig]`` the rig is safe and its ports are let go.
* guardian to daemon: ``["here"]``, once a second.

A rig that began and did not end is brought to its safe state by the guardian when the daemon dies, and when the rig
falls silent. Where the guardian falls silent or closes the socket, the daemon makes its rigs safe and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Final

ENVIRONMENT: Final = "LUMIFLOW_GUARDIAN"
BEAT_PERIOD_S: Final = 0.25
SILENCE_LIMIT_S: Final = 1.5
"""So long a control loop may say nothing. With the safe sequence's own time, heaters are off within 3 s of a hang."""
HERE_PERIOD_S: Final = 1.0
GUARDIAN_SILENCE_S: Final = 10.0


class Heart:
    """The daemon's end. Without a guardian (``connection`` None) every verb does nothing.

    Any thread may call any verb; none blocks. A beat that does not fit into the socket's buffer, because the guardian
    does not read, is dropped.
    """

    def __init__(self, connection: socket.socket | None) -> None:
        if connection is not None:
            connection.setblocking(False)
        self._connection = connection
        self._sending = threading.Lock()
        self._closed = threading.Event()
        self._listener: threading.Thread | None = None

    @classmethod
    def inherited(cls, environ: Mapping[str, str] = os.environ) -> Heart:
        """The heart for the socket that the environment names; one without a guardian where it names none."""
        descriptor = environ.get(ENVIRONMENT, "")
        if not descriptor.isdigit():
            return cls(None)
        connection = socket.socket(fileno=int(descriptor))
        os.set_inheritable(connection.fileno(), False)  # a child of the daemon must not keep it open
        return cls(connection)

    @property
    def guarded(self) -> bool:
        """Whether there is a guardian at the other end."""
        return self._connection is not None

    def ready(self) -> None:
        """All rigs are up, and commands are listened to."""
        self._say("ready")

    def begin(self, rig: str) -> None:
        """From now on this rig beats. To be called before its first port is opened."""
        self._say("begin", rig)

    def beat(self, rig: str) -> None:
        """The rig's control loop is alive. To be called in that loop, every ``BEAT_PERIOD_S``."""
        self._say("beat", rig)

    def end(self, rig: str) -> None:
        """The rig is in its safe state and its ports are let go."""
        self._say("end", rig)

    def listen(self, on_lost: Callable[[str], None]) -> None:
        """Have ``on_lost(why)`` called once, in a thread of its own, when the guardian is gone or says nothing more."""
        if self._connection is None or self._listener is not None:
            return
        self._listener = threading.Thread(
            target=_listen, args=(self._connection, self._closed, on_lost), name="guardian", daemon=True
        )
        self._listener.start()

    def close(self) -> None:
        """Let go of the socket; the listener ends without a word."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        self._closed.set()
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        if self._listener is not None and self._listener is not threading.current_thread():
            self._listener.join(timeout=1.0)
        connection.close()

    def _say(self, *words: str) -> None:
        connection = self._connection
        if connection is None:
            return
        with self._sending, contextlib.suppress(OSError):
            connection.send(message(*words))


async def keep_beating(heart: Heart, rig: str) -> None:
    """Beat for a rig in the running loop until cancelled. A loop that something blocks falls silent."""
    while True:
        heart.beat(rig)
        await asyncio.sleep(BEAT_PERIOD_S)


def message(*words: str) -> bytes:
    """One message as it goes over the socket."""
    return json.dumps(words).encode() + b"\n"


class Messages:
    """Bytes in any pieces to messages. A line that is none is dropped: it is not for us."""

    def __init__(self) -> None:
        self._rest = b""

    def fed(self, data: bytes) -> list[tuple[str, ...]]:
        """The messages that are complete with these bytes."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        messages: list[tuple[str, ...]] = []
        for line in lines:
            with contextlib.suppress(ValueError):
                words = json.loads(line)
                if isinstance(words, list) and words and all(isinstance(word, str) for word in words):
                    messages.append(tuple(words))
        return messages


def _listen(connection: socket.socket, closed: threading.Event, on_lost: Callable[[str], None]) -> None:
    why = "the guardian is gone"
    try:
        while select.select([connection], [], [], GUARDIAN_SILENCE_S)[0]:
            if not connection.recv(4096):
                break
        else:
            why = f"the guardian has said nothing for {GUARDIAN_SILENCE_S:g} s"
    except (OSError, ValueError) as error:
        why = f"{why}: {error}"
    if not closed.is_set():
        on_lost(why)
