"""Connections that cost nothing when their other end is broken, stuck or ill-willed.

uvicorn waits for ever for a client that opens a connection and sends half a request, or that reads no answer. Here each
has a deadline, and there is a limit to their number.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 128
REQUEST_LIMIT_S = 10.0
SWEEP_S = 15.0  # slow is not stuck: the buffers of the system empty in steps


class Connections:
    """All open connections of one server. `sweep` cuts those whose waiting bytes have not become fewer since."""

    def __init__(self, limit: int = MAX_CONNECTIONS, request_limit_s: float = REQUEST_LIMIT_S) -> None:
        self.limit = limit
        self.request_limit_s = request_limit_s
        self.cut = 0
        self._waiting: dict[asyncio.Transport, int] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, transport: asyncio.Transport) -> bool:
        """False when there are too many."""
        if len(self._waiting) >= self.limit:
            return False
        self._waiting[transport] = 0
        return True

    def discard(self, transport: asyncio.Transport) -> None:
        self._waiting.pop(transport, None)

    def sweep(self) -> None:
        """Cut every connection whose client has taken nothing since the last sweep though something waits for it."""
        for transport, before in list(self._waiting.items()):
            size = transport.get_write_buffer_size()
            if size and size == before:
                self.cut += 1
                transport.abort()
            self._waiting[transport] = size

    async def keep_swept(self, period_s: float = SWEEP_S) -> None:
        """Sweep for ever."""
        while True:
            await asyncio.sleep(period_s)
            self.sweep()


def protocol_class(connections: Connections) -> type[H11Protocol]:
    """uvicorn's protocol for HTTP/1.1, with deadlines."""

    class Watched(H11Protocol):
        deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if not connections.add(transport):
                transport.abort()
                return
            self._expect_a_request()

        def connection_lost(self, exc: Exception | None) -> None:
            connections.discard(self.transport)
            self._stop_expecting()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop_expecting()
            elif not self.transport.is_closing():
                self._expect_a_request()

        def _expect_a_request(self) -> None:
            if self.deadline is None:
                self.deadline = self.loop.call_later(connections.request_limit_s, self.transport.abort)

        def _stop_expecting(self) -> None:
            if self.deadline is not None:
                self.deadline.cancel()
                self.deadline = None

    return Watched
