"""One twin with several doors: a pty and a TCP port at once, the answer to whoever asked last."""

from __future__ import annotations

from simulators.links import Emit, Loop, StreamTwin


class Party:
    """A byte stream's twin behind any number of links. ``door()`` gives one of them, itself a StreamTwin."""

    def __init__(self, twin: StreamTwin) -> None:
        self._twin = twin
        self._answer: Emit | None = None
        self._attached = False

    def door(self) -> StreamTwin:
        """The twin's end of one more link."""
        return _Door(self)

    def attach(self, loop: Loop, emit: Emit) -> None:
        self._answer = emit
        if not self._attached:
            self._attached = True
            self._twin.attach(loop, self._emitted)

    def receive(self, data: bytes, emit: Emit) -> None:
        self._answer = emit
        self._twin.receive(data)

    def _emitted(self, data: bytes) -> None:
        if self._answer is not None:
            self._answer(data)


class _Door:
    def __init__(self, party: Party) -> None:
        self._party = party
        self._emit: Emit | None = None

    def attach(self, loop: Loop, emit: Emit) -> None:
        self._emit = emit
        self._party.attach(loop, emit)

    def receive(self, data: bytes) -> None:
        if self._emit is None:
            raise RuntimeError("the twin is not attached to a link")
        self._party.receive(data, self._emit)
