"""Twins on a real port, where any client of the device can talk to them: TCP on the loopback, or a pty."""

from __future__ import annotations

import asyncio
import ipaddress
import os
from collections.abc import Callable
from dataclasses import dataclass

from simulators.links import StreamTwin

OpenPort = Callable[[], StreamTwin]
"""Gives the twin's end of one new connection: the same twin for a serial line, a new port for each TCP client."""


@dataclass(frozen=True)
class ServedTwin:
    """A twin being served. ``address`` is ``host:port`` or the pty's path; ``close`` ends it."""

    address: str
    _close: Callable[[], None]

    @property
    def port(self) -> int:
        """TCP port number."""
        return int(self.address.rpartition(":")[2])

    def close(self) -> None:
        """Stop serving and drop who is connected."""
        self._close()


class _Connection(asyncio.Protocol):
    def __init__(self, open_port: OpenPort, connected: set[asyncio.Transport]) -> None:
        self._open_port = open_port
        self._connected = connected
        self._transport: asyncio.Transport | None = None
        self._twin: StreamTwin | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connected.add(transport)
        self._twin = self._open_port()
        self._twin.attach(asyncio.get_running_loop(), self._emitted)

    def data_received(self, data: bytes) -> None:
        if self._twin is not None:
            self._twin.receive(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._connected.discard(self._transport)

    def _emitted(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


async def serve_tcp(open_port: OpenPort, *, host: str = "127.0.0.1", port: int = 0) -> ServedTwin:
    """Serve on a loopback TCP port, a free one for 0. A twin has no authentication: other hosts are refused."""
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"a twin is served on a loopback address only, not on {host}")
    connected: set[asyncio.Transport] = set()
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(open_port, connected), host, port)
    bound = server.sockets[0].getsockname()[1]

    def close() -> None:
        server.close()
        for transport in list(connected):
            transport.abort()

    return ServedTwin(f"{host}:{bound}", close)


async def serve_pty(twin: StreamTwin) -> ServedTwin:
    """Serve on a pseudo-terminal; ``address`` is the path that a serial client opens. POSIX only."""
    if os.name != "posix":
        raise OSError("pseudo-terminals exist on POSIX systems only; serve the twin on TCP")
    import tty

    loop = asyncio.get_running_loop()
    host_end, client_end = os.openpty()
    tty.setraw(client_end)
    os.set_blocking(host_end, False)
    pending = bytearray()

    def flush() -> None:
        if pending:
            with_room = os.write(host_end, pending)
            del pending[:with_room]
        if not pending:
            loop.remove_writer(host_end)

    def emitted(data: bytes) -> None:
        pending.extend(data)
        loop.add_writer(host_end, flush)

    def readable() -> None:
        try:
            data = os.read(host_end, 4096)
        except BlockingIOError:
            return
        twin.receive(data)

    twin.attach(loop, emitted)
    loop.add_reader(host_end, readable)
    closed = False

    def close() -> None:
        nonlocal closed
        if not closed:
            closed = True
            loop.remove_reader(host_end)
            loop.remove_writer(host_end)
            os.close(host_end)
            os.close(client_end)

    return ServedTwin(os.ttyname(client_end), close)
