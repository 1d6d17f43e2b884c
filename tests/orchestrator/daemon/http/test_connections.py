"""Clients that are broken, stuck or ill-willed cost a connection for a while, and no more."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.daemon.http.connections import Connections
from orchestrator.daemon.http.server import HttpServer
from tests.orchestrator.daemon.http.pretend import WRITE, Pretend, serving

Scene = Callable[[HttpServer, httpx.AsyncClient], Awaitable[Any]]


def play(folder: Path, connections: Connections, scene: Scene) -> Any:
    conductor = Pretend(folder)

    async def main() -> Any:
        async with serving(conductor, connections) as (server, client):
            return await scene(server, client)

    return asyncio.run(main())


async def closed(reader: asyncio.StreamReader) -> bool:
    """Whether the other end closes within a while."""
    try:
        return await asyncio.wait_for(reader.read(), 5.0) is not None
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("sent", [b"", b"GET /api/hea", b"GET /api/health HTTP/1.1\r\nHost: x\r\nX: "])
def test_half_a_request_has_a_deadline(tmp_path: Path, sent: bytes) -> None:
    async def scene(server: HttpServer, client: httpx.AsyncClient) -> bool:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(sent)
        over = await closed(reader)
        writer.close()
        return over

    assert play(tmp_path, Connections(request_limit_s=0.05), scene)


def test_half_a_second_request_has_one_too(tmp_path: Path) -> None:
    async def scene(server: HttpServer, client: httpx.AsyncClient) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
        answer = await reader.readuntil(b"ok")
        writer.write(b"GET /api/he")
        assert await closed(reader)
        writer.close()
        return answer

    assert play(tmp_path, Connections(request_limit_s=0.1), scene).startswith(b"HTTP/1.1 200")


def test_a_request_that_is_being_answered_has_no_deadline(tmp_path: Path) -> None:
    async def scene(server: HttpServer, client: httpx.AsyncClient) -> int:
        async with client.stream("GET", "/api/events") as response:
            await asyncio.sleep(0.15)
            assert len(server.connections) == 1
            return response.status_code

    assert play(tmp_path, Connections(request_limit_s=0.05), scene) == 200


def test_there_is_a_limit_to_connections(tmp_path: Path) -> None:
    async def scene(server: HttpServer, client: httpx.AsyncClient) -> tuple[bool, int]:
        held = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(3)]
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        refused = await closed(reader)
        for _, other in [*held, (reader, writer)]:
            other.close()
        for _ in range(200):
            if not len(server.connections):
                break
            await asyncio.sleep(0.005)
        return refused, (await client.get("/api/health")).status_code

    assert play(tmp_path, Connections(limit=3), scene) == (True, 200)


def test_a_client_that_takes_nothing_is_cut_off_and_one_that_is_slow_is_not(tmp_path: Path) -> None:
    connections = Connections()
    conductor = Pretend(tmp_path)

    async def listen(port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(listener, ("127.0.0.1", port))
        request = f"GET /api/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {WRITE}\r\n\r\n"
        await loop.sock_sendall(listener, request.encode())
        return listener

    async def scene() -> tuple[int, int, int]:
        async with serving(conductor, connections) as (server, _):
            stuck, slow = await listen(server.port), await listen(server.port)
            for _ in range(60):
                conductor.feed.publish("bench", "event", {"text": "x" * 100_000}, t_s=0.0, utc="")
                await asyncio.sleep(0.002)
            connections.sweep()
            before = len(connections)
            taken = 0
            while taken < 4_000_000:
                taken += len(await asyncio.get_running_loop().sock_recv(slow, 100_000))
            connections.sweep()
            await asyncio.sleep(0.02)
            after = len(connections)
            stuck.close()
            slow.close()
            return before, after, connections.cut

    assert asyncio.run(scene()) == (2, 1, 1)
