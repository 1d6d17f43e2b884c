"""The event stream: what a listener hears, and what it hears when it comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.clock.virtual_time import run_virtual
from orchestrator.daemon.feed import Feed
from orchestrator.daemon.http.api import MAX_STREAMS
from orchestrator.daemon.http.server import HttpServer
from orchestrator.daemon.http.stream import EventStream, Wanted
from tests.orchestrator.daemon.http.listening import stream, until
from tests.orchestrator.daemon.http.pretend import UTC, Pretend, serving

Scene = Callable[[HttpServer, httpx.AsyncClient], Awaitable[Any]]


@pytest.fixture
def conductor(tmp_path: Path) -> Pretend:
    return Pretend(tmp_path)


def play(conductor: Pretend, scene: Scene) -> Any:
    async def main() -> Any:
        async with serving(conductor) as (server, client):
            return await scene(server, client)

    return asyncio.run(main())


def say(feed: Feed, n: int = 1, topic: Any = "state", rig: str | None = "bench") -> None:
    for _ in range(n):
        feed.publish(rig, topic, {"n": feed.seq + 1}, t_s=1.0, utc=UTC)


def test_a_listener_is_greeted_and_then_hears_what_happens(conductor: Pretend) -> None:
    async def scene(server: HttpServer, client: httpx.AsyncClient) -> None:
        async with stream(client) as heard:
            hello = await anext(heard)
            assert (hello.event, hello.data, hello.id) == ("hello", {"boot_id": "b00t", "seq": 0}, "b00t:0")
            await client.post("/api/commands", json={"verb": "pause", "rig": "bench"})
            event = await anext(heard)
            assert (event.event, event.id) == ("command", "b00t:1")
            assert event.data == {
                "seq": 1, "rig": "bench", "topic": "command", "t_s": 4.0, "utc": UTC,
                "data": {"verb": "pause", "actor": "operator"},
            }  # fmt: skip

    play(conductor, scene)


def test_topics_and_rigs_can_be_chosen(conductor: Pretend) -> None:
    async def scene(server: HttpServer, client: httpx.AsyncClient) -> list[str | None]:
        async with stream(client, "/api/events?topic=state&topic=alarm&rig=bench") as heard:
            await anext(heard)
            say(conductor.feed, topic="reading")
            say(conductor.feed, topic="state", rig="other")
            say(conductor.feed, topic="state")
            say(conductor.feed, topic="alarm", rig=None)
            return [event.id for event in await until(heard, "alarm")]

    assert play(conductor, scene) == ["b00t:3", "b00t:4"]


@pytest.mark.parametrize("way", ["header", "query"])
def test_who_comes_back_hears_what_was_missed_and_nothing_twice(conductor: Pretend, way: str) -> None:
    async def scene(server: HttpServer, client: httpx.AsyncClient) -> list[tuple[str, str | None]]:
        say(conductor.feed, 5)
        query = "?after=b00t:3" if way == "query" else ""
        headers = {"last-event-id": "b00t:3"} if way == "header" else {}
        async with stream(client, f"/api/events{query}", **headers) as heard:
            say(conductor.feed, 1, topic="alarm")
            return [(event.event, event.id) for event in await until(heard, "alarm")]

    expected = [("hello", None), ("state", "b00t:4"), ("state", "b00t:5"), ("alarm", "b00t:6")]
    assert play(conductor, scene) == expected


def test_who_comes_back_after_a_restart_is_told_and_hears_all_of_this_life(conductor: Pretend) -> None:
    async def scene(server: HttpServer, client: httpx.AsyncClient) -> list[tuple[str, str | None]]:
        say(conductor.feed, 1)
        say(conductor.feed, 1, topic="alarm")
        async with stream(client, **{"last-event-id": "earlier:77"}) as heard:
            return [(event.event, event.id) for event in await until(heard, "alarm")]

    expected = [("hello", None), ("restarted", None), ("state", "b00t:1"), ("alarm", "b00t:2")]
    assert play(conductor, scene) == expected


def test_what_is_no_longer_kept_is_told_as_a_gap(conductor: Pretend) -> None:
    async def scene(server: HttpServer, client: httpx.AsyncClient) -> list[Any]:
        conductor.feed = Feed(kept=2)
        say(conductor.feed, 9)
        say(conductor.feed, 1, topic="alarm")
        async with stream(client, **{"last-event-id": "b00t:4"}) as heard:
            return [event.data for event in await until(heard, "gap")][1:]

    assert play(conductor, scene) == [{"missed": 4}]


@pytest.mark.parametrize("nonsense", ["", "x", "b00t:", "b00t:-1", ":", "b00t:1e3", "b00t:" + "9" * 30])
def test_an_id_that_is_none_is_as_if_nothing_had_been_seen(conductor: Pretend, nonsense: str) -> None:
    async def scene(server: HttpServer, client: httpx.AsyncClient) -> str:
        say(conductor.feed, 2)
        async with stream(client, **{"last-event-id": nonsense}) as heard:
            return str((await anext(heard)).id)

    assert play(conductor, scene) == "b00t:2"


def test_when_the_daemon_ends_the_stream_says_so(conductor: Pretend) -> None:
    async def scene(server: HttpServer, client: httpx.AsyncClient) -> list[str]:
        async with stream(client) as heard:
            await anext(heard)
            stopping = asyncio.ensure_future(server.stop())
            ending = [event.event async for event in heard]
            await stopping
            return ending

    assert play(conductor, scene) == ["bye"]


def test_a_listener_that_leaves_frees_its_place(conductor: Pretend) -> None:
    async def scene(server: HttpServer, client: httpx.AsyncClient) -> None:
        async with stream(client) as heard:
            await anext(heard)
            assert (server.api.streams, conductor.feed.readers) == (1, 1)
        for _ in range(200):
            if not server.api.streams:
                break
            await asyncio.sleep(0.005)
        assert (server.api.streams, conductor.feed.readers) == (0, 0)

    play(conductor, scene)


def test_a_rig_that_there_is_not_is_refused_and_not_listened_to_for_ever(conductor: Pretend) -> None:
    async def scene(server: HttpServer, client: httpx.AsyncClient) -> tuple[int, int]:
        return (await client.get("/api/events?rig=bank")).status_code, server.api.streams

    assert play(conductor, scene) == (404, 0)


def test_there_is_a_limit_to_streams_and_commands_still_pass(conductor: Pretend) -> None:
    async def scene(server: HttpServer, client: httpx.AsyncClient) -> tuple[int, int]:
        server.api.streams = MAX_STREAMS
        refused = await client.get("/api/events")
        passed = await client.post("/api/commands", json={"verb": "pause", "rig": "bench"})
        server.api.streams = 0
        return refused.status_code, passed.status_code

    assert play(conductor, scene) == (503, 200)


class Line:
    """The other end of a stream without a socket: it keeps what is sent, and can refuse to take any more."""

    def __init__(self) -> None:
        self.text = ""
        self.open = asyncio.Event()
        self.open.set()
        self.over = False
        self.gone = asyncio.Event()

    async def send(self, message: MutableMapping[str, Any]) -> None:
        await self.open.wait()
        self.text += message.get("body", b"").decode()
        self.over = not message.get("more_body", True)

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    def answer(self, feed: Feed, **limits: Any) -> asyncio.Task[None]:
        """One stream to this line, as a task."""
        event_stream = EventStream(feed, "b00t", Wanted(), closing=asyncio.Event(), ended=lambda: None, **limits)
        return asyncio.ensure_future(event_stream({"type": "http"}, self.receive, self.send))


def test_a_quiet_stream_carries_a_comment_now_and_then() -> None:
    async def scene() -> int:
        line = Line()
        task = line.answer(Feed())
        await asyncio.sleep(35.0)
        line.gone.set()
        await task
        return line.text.count(": nothing new\n\n")

    assert run_virtual(scene()) == 3


def test_a_listener_that_is_too_slow_is_told_at_the_end_and_its_queue_is_let_go() -> None:
    async def scene() -> tuple[str, bool, int]:
        line, feed = Line(), Feed()
        task = line.answer(feed, bound=10)
        await asyncio.sleep(0.1)
        line.open.clear()
        say(feed, 1)
        await asyncio.sleep(0.1)  # this one is on its way, and stuck
        say(feed, 11)
        readers = feed.readers
        line.open.set()
        await task
        return line.text.split("event: ")[-1], line.over, readers

    assert run_virtual(scene()) == ('overflow\ndata: {"dropped":11}\n\n', True, 0)
