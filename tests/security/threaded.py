"""A server on a loop of its own thread, for clients that block: before a pretended daemon, or a real one on twins."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

from orchestrator.daemon.config import load_daemon
from orchestrator.daemon.http import serve_http
from orchestrator.daemon.http.server import HttpServer
from orchestrator.daemon.service import Daemon
from tests.orchestrator.daemon.http.pretend import READ, RIG_TEXT, WRITE


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
def in_a_thread(serving: AbstractAsyncContextManager[HttpServer]) -> Iterator[Running]:
    """Live in a context in a thread's own loop until the end. What goes wrong there is raised here."""
    ready = threading.Event()
    end = asyncio.Event()
    found: list[Running] = []
    failed: list[BaseException] = []

    async def life() -> None:
        async with serving as server:
            found.append(Running(server, asyncio.get_running_loop()))
            ready.set()
            await end.wait()

    def thread_main() -> None:
        try:
            asyncio.run(life())
        except BaseException as error:  # noqa: BLE001 - it belongs to the test's own thread
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=thread_main, name="server")
    thread.start()
    ready.wait(30.0)
    try:
        if failed:
            raise failed[0]
        yield found[0]
    finally:
        if found and not failed:
            found[0].loop.call_soon_threadsafe(end.set)
        thread.join(60.0)
    if failed:
        raise failed[0]
    assert not thread.is_alive(), "the server does not end"


@asynccontextmanager
async def started(server: HttpServer) -> AsyncIterator[HttpServer]:
    """A server while it listens."""
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def real_daemon(folder: Path) -> AsyncIterator[HttpServer]:
    """The daemon itself with one rig of twins, `bench`, and its HTTP server on a free port."""
    (folder / "rig.yaml").write_text(RIG_TEXT)
    path = folder / "daemon.yaml"
    path.write_text("kind: daemon\nrigs:\n  bench:\n    file: rig.yaml\nhttp:\n  port: 0\n")
    tokens = folder / "lumiflow.tokens"
    tokens.write_text(f"operator write {WRITE}\nwall read {READ}\n")
    tokens.chmod(0o600)
    loaded = load_daemon(path)
    daemon = Daemon(loaded)
    try:
        await daemon.start()
        server = await serve_http(daemon, loaded)
        try:
            yield server
        finally:
            await server.stop()
    finally:
        await daemon.close()
