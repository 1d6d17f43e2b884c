"""The event stream: notices of the feed as server-sent events, for clients that read and against those that do not.

Each event's id is `BOOT:SEQ`. A client that comes back says the last one it saw in the header `Last-Event-ID`, as
browsers do, and hears what it missed. Events besides the feed's topics:

* `hello` first of all: the daemon's boot id and the number of the last notice.
* `restarted`: the id that was given is of another life of the daemon; what follows is all that is kept of this one.
* `gap`: so many notices are no longer kept. The state must be asked for anew.
* `overflow`, the last: this client was too slow, and its stream ends.
* `bye`, the last: the daemon ends.

A quiet stream carries a comment now and then. The queue of a client that does not read has a bound, beyond which its
stream ends; the connection itself is cut by `connections.py`. Format: WHATWG HTML, section 9.2, server-sent events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from starlette.responses import Response

from orchestrator.canonical import JSON, canonical
from orchestrator.daemon.feed import Feed, Notice, Subscription, Topic
from orchestrator.daemon.http.guard import Receive, Scope, Send

BOUND = 2048  # notices: some 12 s of 16 devices at 10 Hz
BATCH = 128
BEAT_S = 10.0


@dataclass(frozen=True)
class Wanted:
    """What a client asked for. `after`: the last id that it saw, or None for nothing of the past."""

    topics: tuple[Topic, ...] | None = None
    rigs: tuple[str, ...] | None = None
    after: str | None = None


class EventStream(Response):
    """The answer to one client. `closing` is set when the daemon ends; `ended` is called when the stream has."""

    media_type = "text/event-stream"

    def __init__(
        self,
        feed: Feed,
        boot_id: str,
        wanted: Wanted,
        *,
        closing: asyncio.Event,
        ended: Callable[[], None],
        bound: int = BOUND,
        beat_s: float = BEAT_S,
    ) -> None:
        super().__init__()
        self._feed = feed
        self._boot_id = boot_id
        self._wanted = wanted
        self._closing = closing
        self._ended = ended
        self._bound = bound
        self._beat_s = beat_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        boot, after = _seen(self._wanted.after)
        strange = boot is not None and boot != self._boot_id
        last = self._feed.seq
        reader = self._feed.subscribe(
            topics=self._wanted.topics,
            rigs=self._wanted.rigs,
            bound=self._bound,
            overflow="close",
            after_seq=0 if strange else after,
        )
        # Where notices are replayed, the client has not seen the last one yet and must not be told its number as an id.
        identity = f"{self._boot_id}:{last}" if after is None else None
        opening = [_event("hello", {"boot_id": self._boot_id, "seq": last}, identity)]
        if strange:
            opening.append(_event("restarted", {"boot_id": self._boot_id}))
        if reader.missed:
            opening.append(_event("gap", {"missed": reader.missed}))
        ways_out = {
            asyncio.ensure_future(self._pump(reader, "retry: 2000\n\n" + "".join(opening), send)),
            asyncio.ensure_future(_gone(receive)),
        }
        try:
            done, _ = await asyncio.wait(ways_out, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            reader.close()
            self._ended()
            for task in ways_out:
                task.cancel()
            await asyncio.gather(*ways_out, return_exceptions=True)

    async def _pump(self, reader: Subscription, opening: str, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await _write(opening, send)
        closing = asyncio.ensure_future(self._closing.wait())
        notices = asyncio.ensure_future(reader.batch(BATCH))
        try:
            while not closing.done():
                either = {notices, closing}
                await asyncio.wait(either, timeout=self._beat_s, return_when=asyncio.FIRST_COMPLETED)
                if not notices.done():
                    if not closing.done():
                        await _write(": nothing new\n\n", send)
                    continue
                if not notices.result():
                    break
                await _write("".join(self._notice(notice) for notice in notices.result()), send)
                notices = asyncio.ensure_future(reader.batch(BATCH))
        finally:
            closing.cancel()
            notices.cancel()
        await _write(_event("overflow", {"dropped": reader.dropped}) if reader.overflowed else _event("bye", {}), send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _notice(self, notice: Notice) -> str:
        return f"id: {self._boot_id}:{notice.seq}\nevent: {notice.topic}\ndata: {notice.text}\n\n"


async def _write(text: str, send: Send) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _event(name: str, data: JSON, identity: str | None = None) -> str:
    head = "" if identity is None else f"id: {identity}\n"
    return f"{head}event: {name}\ndata: {canonical(data)}\n\n"


def _seen(text: str | None) -> tuple[str | None, int | None]:
    """(boot, seq) of an id; a bare number is of this life, and nonsense is as if nothing had been seen."""
    if not text:
        return None, None
    boot, _, number = text.rpartition(":")
    if not (number.isascii() and number.isdigit() and len(number) < 16):
        return None, None
    return boot or None, int(number)
