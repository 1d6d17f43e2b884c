"""The way from a bench's thread into the daemon's loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from orchestrator.daemon.bench import Finished
    from orchestrator.daemon.station import Station
    from orchestrator.daemon.telemetry import Reading
    from orchestrator.journal.store import Event

Data = Mapping[str, Any]


class Ears:
    """The bench's listener: passes everything on to the daemon's loop, and readings to the feed at once."""

    def __init__(self, station: Station, loop: asyncio.AbstractEventLoop) -> None:
        self._station = station
        self._loop = loop

    def event(self, job: str, event: Event) -> None:
        """Pass it on."""
        self._pass(self._station.heard_event, job, event)

    def reading(self, device: str, reading: Reading, due: bool) -> None:
        """Keep it, and publish it if it is due."""
        self._station.heard_reading(device, reading, due)

    def waiting(self, job: str, waiting: bool) -> None:
        """Pass it on."""
        self._pass(self._station.heard_waiting, job, waiting)

    def finished(self, finished: Finished) -> None:
        """Pass it on."""
        self._pass(self._station.heard_finished, finished)

    def tripped(self, trip: Data) -> None:
        """Pass it on."""
        self._pass(self._station.heard_trip, trip)

    def rig(self, fault: str | None) -> None:
        """Pass it on."""
        self._pass(self._station.heard_rig, fault)

    def _pass(self, heard: Callable[..., None], *what: object) -> None:
        with contextlib.suppress(RuntimeError):  # the daemon's loop is closed: nobody hears any more
            self._loop.call_soon_threadsafe(heard, *what)
