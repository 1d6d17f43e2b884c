"""A rig's own journal, kept by a thread of its own so that whoever has something to say never waits for the disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from orchestrator.clock.virtual_time import UtcClock, run_real
from orchestrator.daemon.ledger import Ledger, entered, fold_rig
from orchestrator.errors import JournalError
from orchestrator.journal.journal import Event, Journal
from orchestrator.sittings.sitting import start_of


class DamagedRigJournal:
    """In the place of a rig's journal that cannot be trusted: it knows nothing and takes nothing in."""

    def __init__(self, why: JournalError) -> None:
        self.why = why
        self.ledger = Ledger()

    def append(self, kind: str, data: Mapping[str, Any]) -> Future[Event]:
        """See `RigJournal`; it fails."""
        refused: Future[Event] = Future()
        refused.set_exception(self.why)
        return refused

    def close(self) -> None:
        """Nothing is open."""


class RigJournal:
    """One rig's journal with its ledger. Any thread may append; the order is that of the calls.

    Raises JournalError at construction as `Journal.open` does.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ledger = Ledger()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._journal: Journal | None = None
        self._stop: asyncio.Event | None = None
        opened: Future[None] = Future()
        self._thread = threading.Thread(target=lambda: run_real(self._keep(opened)), name=f"journal of {path.stem}")
        self._thread.start()
        try:
            opened.result()
        except BaseException:
            self._thread.join()
            raise

    def append(self, kind: str, data: Mapping[str, Any]) -> Future[Event]:
        """Write one event; the future is done when it is on the disk and the ledger knows it.

        It raises JournalError when the event could not be written; a journal that failed once stays closed to writing.
        """
        if self._loop is None or not self._thread.is_alive():
            raise JournalError(f"{self.path}: is closed")
        return asyncio.run_coroutine_threadsafe(self._append(kind, dict(data)), self._loop)

    def close(self) -> None:
        """Finish what is being written and let the file go. Idempotent."""
        if self._loop is not None and self._stop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    async def _append(self, kind: str, data: Mapping[str, Any]) -> Event:
        assert self._journal is not None
        event = await self._journal.append(kind, data)
        self.ledger = entered(self.ledger, event)
        return event

    async def _keep(self, opened: Future[None]) -> None:
        try:
            self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            self._journal = journal = self._open(self._loop)
        except BaseException as error:  # noqa: BLE001 - belongs to whoever constructs this
            opened.set_exception(error)
            return
        with journal:
            self.ledger = fold_rig(journal.events())
            opened.set_result(None)
            await self._stop.wait()
            await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)

    def _open(self, loop: asyncio.AbstractEventLoop) -> Journal:
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return Journal.create(self.path, UtcClock(loop))
        return Journal.open(self.path, UtcClock(loop, start_s=start_of(self.path)))
