"""What the guardian did, in a journal of its own: written beside the acting, never in its way.

A disk that is full or hangs must not keep a heater on. So a note is handed over and not waited for, and one that cannot
be written is said in the log instead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from orchestrator.clock.virtual_time import UtcClock
from orchestrator.errors import JournalError
from orchestrator.journal.journal import Event, Journal, JournalLocked

FILE: Final = "guardian.sqlite"
_LAST_WORDS_S: Final = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rescue:
    """A rig that the guardian brought to its safe state: when (UTC), why, whether all went well, and the steps.

    ``infused_ul``: what that took to flush the line, by pump. ``mark``: the hash by which its journal knows its end.
    """

    rig: str
    utc: str
    cause: str
    well: bool
    steps: tuple[Mapping[str, Any], ...]
    infused_ul: Mapping[str, float] = field(default_factory=dict)
    mark: str = ""


class Diary:
    """The guardian's journal in a folder. Construct it in the running loop.

    Raises JournalLocked when another guardian writes it. One that is damaged, or a folder that cannot be written, is
    said in the log, and nothing is kept.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._writing: set[asyncio.Task[None]] = set()
        self._journal: Journal | None = None
        self.events: tuple[Event, ...] = ()
        self.readable = True
        try:
            self._journal = self._open(folder)
        except JournalLocked:
            raise
        except (JournalError, OSError) as error:
            self.readable = False
            _log.error("the guardian keeps no journal: %s", error)
        else:
            self.events = tuple(self._journal.events())

    def note(self, kind: str, **data: Any) -> None:
        """Say it in the log and have it written; returns at once."""
        _log.warning("%s: %s", kind, ", ".join(f"{key}={value}" for key, value in data.items()))
        if self._journal is None:
            return
        task = asyncio.ensure_future(self._write(self._journal, kind, data))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def settle(self) -> None:
        """Wait a while for what is being written."""
        if self._writing:
            await asyncio.wait(self._writing, timeout=_LAST_WORDS_S)

    async def close(self) -> None:
        """Wait a while for what is being written, and let the file go."""
        await self.settle()
        if self._journal is not None and not self._writing:
            self._journal.close()

    def _open(self, folder: Path) -> Journal:
        folder.mkdir(parents=True, exist_ok=True)
        loop = asyncio.get_running_loop()
        if not self.path.exists():
            return Journal.create(self.path, UtcClock(loop))
        with Journal.open(self.path, readonly=True) as earlier:
            start_s = earlier.last_t_s
        return Journal.open(self.path, UtcClock(loop, start_s=start_s))

    async def _write(self, journal: Journal, kind: str, data: Mapping[str, Any]) -> None:
        try:
            await journal.append(kind, data)
        except JournalError as error:
            _log.error("not written: %s", error)


def unsafe_rigs(events: Iterable[Event]) -> tuple[str, ...]:
    """The rigs that began and of which nobody has said since that they are safe, in the order of their beginning."""
    open_rigs: dict[str, None] = {}
    for event in events:
        if event.kind == "began":
            open_rigs[event.data["rig"]] = None
        elif event.kind == "ended" or (event.kind == "made_safe" and event.data["well"]):
            open_rigs.pop(event.data["rig"], None)
    return tuple(open_rigs)


def rescues(path: Path) -> tuple[Rescue, ...]:
    """Every rescue in a guardian's journal, oldest first; none where there is no such file. Raises JournalError."""
    if not path.is_file():
        return ()
    with Journal.open(path, readonly=True) as journal:
        events = tuple(journal.events())
    causes: dict[str, str] = {}
    steps: dict[str, list[Mapping[str, Any]]] = {}
    found: list[Rescue] = []
    for event in events:
        rig = str(event.data.get("rig", ""))
        if event.kind == "rescue":
            causes[rig], steps[rig] = str(event.data["cause"]), []
        elif event.kind == "safe_step":
            steps.setdefault(rig, []).append(event.data)
        elif event.kind == "made_safe":
            taken = tuple(steps.pop(rig, ()))
            flushed = event.data.get("infused_ul", {})
            well = bool(event.data["well"])
            found.append(Rescue(rig, event.utc, causes.pop(rig, ""), well, taken, flushed, event.hash))
    return tuple(found)


def rescues_since(found: Sequence[Rescue], mark: str, utc: str) -> tuple[Rescue, ...]:
    """Of rescues of one rig, oldest first, those after the one with this mark, whatever clocks have said meanwhile.

    Where none has it (an earlier version noted none; the journal may be another one by now): those after ``utc``.
    """
    marks = [rescue.mark for rescue in found]
    if mark and mark in marks:
        return tuple(found[marks.index(mark) + 1 :])
    return tuple(rescue for rescue in found if rescue.utc > utc)
