"""The record of a run as it grows: each event written to the journal, and the state that they amount to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from orchestrator.history.fold import advance, fold
from orchestrator.history.run_state import RunState

if TYPE_CHECKING:
    from orchestrator.journal.journal import Event, Journal

Data = dict[str, Any]

_log = logging.getLogger("lumiflow.run")


class RunLog:
    """Appends to the journal; ``state`` is the fold of all that was acknowledged.

    ``on_event`` only looks on: that it fails is logged once, and ends nothing.
    """

    def __init__(
        self, journal: Journal, history: tuple[Event, ...] = (), on_event: Callable[[Event], None] | None = None
    ) -> None:
        self._journal = journal
        self._on_event = on_event
        self._failed = False
        self.state: RunState = fold(history)
        """What the journal says so far."""

    async def append(self, kind: str, data: Data) -> Event:
        """Write an event. A caller that is cancelled meanwhile goes, the event is written and known all the same."""
        return await asyncio.shield(asyncio.ensure_future(self._write(kind, data)))

    async def _write(self, kind: str, data: Data) -> Event:
        event = await self._journal.append(kind, data)
        self.state = advance(self.state, event)
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:  # noqa: BLE001 - a defect of a display must not end experiments
                if not self._failed:
                    _log.exception("who looks on has failed at event %d (%s); the run goes on", event.seq, event.kind)
                self._failed = True
        return event
