"""A client of the event stream."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Heard:
    """One event: `event` with its `data`, or a comment (then `event` is ":")."""

    event: str
    data: Any
    id: str | None


async def events(lines: AsyncIterator[str]) -> AsyncIterator[Heard]:
    """Events of a stream, comments among them."""
    fields: dict[str, str] = {}
    async for line in lines:
        name, _, value = line.partition(": ")
        if line.startswith(":"):
            yield Heard(":", line, None)
        elif line:
            fields[name] = value
        elif "event" in fields:
            yield Heard(fields["event"], json.loads(fields["data"]), fields.get("id"))
            fields = {}


@asynccontextmanager
async def stream(client: httpx.AsyncClient, path: str = "/api/events", **headers: str) -> AsyncIterator[Any]:
    """Listen; yields an iterator of events."""
    async with client.stream("GET", path, headers=headers, timeout=10.0) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield events(response.aiter_lines())


async def until(heard: AsyncIterator[Heard], name: str) -> list[Heard]:
    """What is heard up to and with the first event of this name."""
    found: list[Heard] = []
    async for event in heard:
        found.append(event)
        if event.event == name:
            break
    return found
