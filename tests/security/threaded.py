"""A server on a loop of its own thread, for clients that block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from orchestrator.daemon.http.server import HttpServer


class Running(NamedTuple):
    """A server, and the loop that it runs on."""

    server: HttpServer
    loop: asyncio.AbstractEventLoop

    async def on_its_loop(self, action: Callable[[], None]) -> None:
        """Do something in the server's loop and wait until it is done."""

        async def act() -> None:
            action()

        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(act(), self.loop))


@contextmanager
def in_a_thread(server: HttpServer) -> Iterator[Running]:
    """Start a server, and stop it at the end. The server must not belong to a loop yet."""
    ready = threading.Event()
    done: list[asyncio.Event] = []

    async def life() -> None:
        await server.start()
        stop = asyncio.Event()
        done.append(stop)
        loops.append(asyncio.get_running_loop())
        ready.set()
        await stop.wait()
        await server.stop()

    loops: list[asyncio.AbstractEventLoop] = []
    thread = threading.Thread(target=lambda: asyncio.run(life()), name="server")
    thread.start()
    assert ready.wait(10.0), "the server did not start"
    try:
        yield Running(server, loops[0])
    finally:
        loops[0].call_soon_threadsafe(done[0].set)
        thread.join(10.0)
