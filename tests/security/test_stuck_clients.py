"""Twenty listeners, of which five never read: control goes on, the five are dropped, the others miss nothing."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.daemon.feed import Feed
from orchestrator.daemon.http.stream import BOUND
from tests.orchestrator.daemon.http.pretend import UTC, WRITE, Pretend, server_for
from tests.security.threaded import Running, in_a_thread, started

READING, STUCK = 15, 5
TICK_S = 0.01
EACH_TICK = 12
PAYLOAD = "x" * 1000
MOST = 4 * BOUND

_ID = re.compile(rb"\nid: b00t:(\d+)\n")


class Control:
    """A control loop in a thread of its own that publishes at its own pace until it is told to end."""

    def __init__(self, feed: Feed) -> None:
        self.ticks = 0
        self._feed = feed
        self._end = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._life()), name="control")

    def __enter__(self) -> Control:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._end.set()
        self._thread.join(10.0)
        assert not self._thread.is_alive(), "the control loop hangs"

    async def _life(self) -> None:
        while not self._end.is_set() and self._feed.seq < MOST:
            for device in range(EACH_TICK):
                self._feed.publish("bench", "reading", {"device": device, "x": PAYLOAD}, t_s=0.0, utc=UTC)
            self.ticks += 1
            await asyncio.sleep(TICK_S)
        self._feed.publish("bench", "alarm", {}, t_s=0.0, utc=UTC)


async def connect(port: int, *, buffer_bytes: int) -> socket.socket:
    """An event stream's socket, with the request sent."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    listener.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(listener, ("127.0.0.1", port))
    request = f"GET /api/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {WRITE}\r\n\r\n"
    await loop.sock_sendall(listener, request.encode())
    return listener


async def read_all(listener: socket.socket) -> list[int]:
    """The numbers of what was heard, up to the alarm that ends it (or to the end of the stream)."""
    loop, text = asyncio.get_running_loop(), b""
    numbers: list[int] = []
    while b"event: alarm" not in text and (more := await loop.sock_recv(listener, 1 << 18)):
        text += more
        if b"event: alarm" not in text:
            numbers += [int(number) for number in _ID.findall(text)]
            text = text[text.rfind(b"\nid:") :]
            if numbers and text.startswith(b"\nid: b00t:%d\n" % numbers[-1]):
                numbers.pop()  # it is still in what is kept
    return [*numbers, *(int(number) for number in _ID.findall(text))]


async def come_true(condition: Callable[[], bool]) -> None:
    """Wait for something that another thread brings about."""
    while not condition():  # noqa: ASYNC110 - nobody there would set an event
        await asyncio.sleep(0.01)


async def scene(running: Running, feed: Feed) -> None:
    server, connections = running.server, running.server.connections
    stuck = [await connect(server.port, buffer_bytes=4096) for _ in range(STUCK)]
    reading = [await connect(server.port, buffer_bytes=1 << 20) for _ in range(READING)]
    await come_true(lambda: feed.readers == READING + STUCK)
    tasks = [asyncio.ensure_future(read_all(listener)) for listener in reading]
    with Control(feed) as control:
        await come_true(lambda: feed.readers <= READING or feed.seq >= MOST)
        assert feed.readers == READING, "the stuck ones are still there, or others went with them"
    for numbers in await asyncio.gather(*tasks):
        assert numbers[0] <= 2 + EACH_TICK
        assert numbers == list(range(numbers[0], feed.seq + 1))
    assert feed.seq == control.ticks * EACH_TICK + 1
    for _ in range(2):
        await running.on_its_loop(connections.sweep)
    await come_true(lambda: server.api.streams == READING)
    assert (connections.cut, len(connections)) == (STUCK, READING)
    for listener in (*reading, *stuck):
        listener.close()
    await come_true(lambda: len(connections) == 0)
    # A stream learns of its listener's end a turn of the loop after the connection does.
    await come_true(lambda: (server.api.streams, feed.readers) == (0, 0))


def test_stuck_listeners_are_dropped_and_nobody_else_notices(tmp_path: Path) -> None:
    conductor = Pretend(tmp_path)
    with in_a_thread(started(server_for(conductor))) as running:
        asyncio.run(asyncio.wait_for(scene(running, conductor.feed), 60.0))


@pytest.mark.parametrize("boundary", [1, 2, 3])
def test_numbers_are_read_whole_wherever_the_pieces_end(boundary: int) -> None:
    async def scene() -> list[int]:
        here, there = socket.socketpair()
        here.setblocking(False)
        text = b"x\n\nid: b00t:1\nevent: s\n\nid: b00t:12\nevent: s\n\nid: b00t:13\nevent: alarm\n"
        for start in range(0, len(text), boundary):
            there.send(text[start : start + boundary])
        there.close()
        numbers = await read_all(here)
        here.close()
        return numbers

    assert asyncio.run(scene()) == [1, 12, 13]
