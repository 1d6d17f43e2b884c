"""What the routes share: the conductor behind them, and limits on what is done at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from orchestrator.daemon.facade import Conductor
from orchestrator.daemon.http.errors import ApiError
from orchestrator.daemon.http.explanations import Explanations

T = TypeVar("T")

MAX_STREAMS = 64
HEAVY_AT_ONCE = 2
HEAVY_WAITING = 16


@dataclass
class Api:
    """One server's doings. `rig_texts`: the rig files of the daemon, by the rig's name in it.

    `closing` is set when the daemon ends, so that streams do.
    """

    conductor: Conductor
    rig_texts: Mapping[str, str]
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    streams: int = 0
    replaying: asyncio.Lock = field(default_factory=asyncio.Lock)
    explanations: Explanations = field(default_factory=Explanations)
    _heavy: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(HEAVY_AT_ONCE))
    _waiting: int = 0

    def open_stream(self) -> None:
        """Count one stream more. Raises ApiError when there are too many."""
        if self.streams >= MAX_STREAMS:
            raise ApiError(
                503, "TooManyStreams", f"{MAX_STREAMS} event streams are open already", {"retry-after": "10"}
            )
        self.streams += 1

    def close_stream(self) -> None:
        self.streams -= 1

    async def heavy(self, work: Callable[[], T]) -> T:
        """Do what takes a while in a thread, few at once. Raises ApiError when too many wait."""
        async with self.turn():
            return await asyncio.to_thread(work)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """A place among the few that work at once. Raises ApiError when too many wait."""
        if self._waiting >= HEAVY_WAITING:
            raise ApiError(503, "Busy", "too much is being worked out already", {"retry-after": "5"})
        self._waiting += 1
        try:
            async with self._heavy:
                yield
        finally:
            self._waiting -= 1


def api_of(request: Request) -> Api:
    """The server's doings, for a route."""
    api = request.app.state.api
    if not isinstance(api, Api):
        raise TypeError("the application was not made by make_app")
    return api


def only_known_queries(request: Request) -> None:
    """Refuse a query that the route does not know: a filter with a typing error would silently not filter."""
    route = request.scope.get("route")
    known = {field.alias for field in route.dependant.query_params} if isinstance(route, APIRoute) else set()
    strange = sorted(set(request.query_params) - known)
    if strange:
        allowed = ", ".join(sorted(known)) or "none"
        raise ApiError(422, "UnknownQuery", f"there is no query {strange[0][:60]!r} here; there are: {allowed}")


TheApi = Annotated[Api, Depends(api_of)]


def answer(model: BaseModel, status: int = 200) -> Response:
    """A model as JSON. What is not a finite number is null, whoever put it there."""
    return Response(model.model_dump_json(), status, media_type="application/json")
