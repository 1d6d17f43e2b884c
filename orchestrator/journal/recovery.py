"""Saving what precedes the damage of a journal, as SQLite reads it, or page by page where SQLite sees less."""

from __future__ import annotations

import contextlib
import glob
import itertools
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import JournalError, in_words
from orchestrator.file_lock import FileLock
from orchestrator.journal.pages import Found, Pages, blob, chain, look_through
from orchestrator.journal.seal import Mark, seal, sync_folder
from orchestrator.journal.store import (
    UNREADABLE,
    Event,
    JournalDamaged,
    JournalNewer,
    blob_address,
    connect,
    create_file,
    file_version,
    host_check,
    read_meta,
    sound_events,
    verify,
)


@dataclass(frozen=True)
class Recovery:
    """What was saved. `damage` is None for a sound journal, which is left as it is."""

    kept: int
    damage: JournalDamaged | None
    damaged_copy: Path | None


def recover(path: Path) -> Recovery:
    """Replace a damaged journal by one that ends before the damage; the damaged file stays beside it, bit by bit.

    Raises JournalError when the file is not a journal at all, when another process writes to it, or when there is no
    room for the copy.
    """
    _refuse_what_is_none(path)
    try:
        lock = FileLock(path)
    except BlockingIOError as error:
        raise JournalError(f"{path}: another process is writing this journal") from error
    except OSError as error:
        raise JournalError(f"{path}: cannot be recovered where it lies: {in_words(error)}") from error
    try:
        return _recover(path, lock)
    except OSError as error:
        raise JournalError(f"{path}: cannot be recovered: {in_words(error)}") from error
    finally:
        lock.release()


def was_recovered(path: Path) -> bool:
    """Whether a damaged file stays beside this journal, from which it was recovered."""
    return any(path.parent.glob(f"{glob.escape(path.name)}.damaged*"))


def _refuse_what_is_none(path: Path) -> None:
    """Raises JournalError for a file in which there is no journal, before a lock is left beside it."""
    try:
        connect(path, readonly=True).close()
    except JournalNewer:
        raise
    except JournalError:
        if not path.is_file() or look_through(path) is None:
            raise


def _recover(path: Path, lock: FileLock) -> Recovery:
    kept, damage, found = _examine(path)
    if damage is None:
        return Recovery(kept, None, None)
    aside = _free_name(path)
    for suffix in ("", "-wal"):  # before SQLite, closing the damaged file, tidies its log away
        if path.with_name(path.name + suffix).exists():
            shutil.copyfile(path.with_name(path.name + suffix), aside.with_name(aside.name + suffix))
    draft = path.with_name(path.name + ".recovered")
    draft.unlink(missing_ok=True)
    if found is not None and found.kept > kept:
        kept, first, head = _gather(path, found, draft)
    else:
        kept, first, head = _rescue(path, draft)
    seal(draft)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    draft.replace(path)
    sync_folder(path.parent)
    lock.note(Mark(kept, head, first).text() if kept else "")
    return Recovery(kept, damage, aside)


def _examine(path: Path) -> tuple[int, JournalDamaged | None, Found | None]:
    """How many records SQLite can read, the damage, and what the pages hold if that may be more.

    Nothing is written, not even by SQLite as it closes. Raises JournalError for a file in which there is no journal.
    """
    try:
        with closing(connect(path, readonly=True)) as source:
            try:
                return verify(source, path)[0], None, None
            except JournalDamaged as damage:
                return damage.seq - 1, damage, look_through(path)
    except JournalNewer:
        raise
    except JournalError as error:
        found = look_through(path) if path.is_file() else None
        if found is None:
            raise
        reason = in_words(error.__cause__) if isinstance(error.__cause__, Exception) else str(error)
        return 0, JournalDamaged(path, found.kept + 1, f"cannot be opened ({reason})", outside=True), found


def _rescue(path: Path, draft: Path) -> tuple[int, str, str]:
    """Write what SQLite reads into a new file: number of records, hash of the first, hash of the last."""
    with closing(connect(path, readonly=True)) as source:
        events = sound_events(source, path)
        with _new(draft, read_meta(source)) as target:
            kept = _write(target, events, lambda address: _blob(source, address))
            _copy_host(source, target, kept[0])
    return kept


def _gather(path: Path, found: Found, draft: Path) -> tuple[int, str, str]:
    """Write what the pages hold into a new file, as `_rescue` does."""
    with Pages(path, found.page_size) as pages, _new(draft, found.meta) as target:
        kept = _write(target, chain(pages, found), lambda address: blob(pages, found, address))
        facts = (fact for fact in found.host if fact[0] <= kept[0])
        target.executemany("INSERT INTO host VALUES (?, ?, ?, ?)", facts)
    return kept


@contextlib.contextmanager
def _new(draft: Path, meta: dict[str, str]) -> Iterator[sqlite3.Connection]:
    """An empty journal in one transaction."""
    create_file(draft, meta)
    with closing(connect(draft, readonly=False)) as target:
        target.execute("BEGIN")
        yield target
        target.execute("COMMIT")


def _write(
    target: sqlite3.Connection, events: Iterator[Event], bytes_of: Callable[[str], bytes]
) -> tuple[int, str, str]:
    kept, first, head = 0, "", ""
    with contextlib.suppress(JournalDamaged):
        for event in events:
            for address in sorted(event.blobs()):
                target.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?)", (address, bytes_of(address)))
            target.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", event.row())
            kept, first, head = event.seq, first or event.hash, event.hash
    return kept, first, head


def _blob(source: sqlite3.Connection, address: str) -> bytes:
    """A blob that is known to be sound, though the index that leads to it may be damaged."""
    for how in ("", "NOT INDEXED"):
        with contextlib.suppress(*UNREADABLE):
            for (data,) in source.execute(f"SELECT data FROM blobs {how} WHERE sha256 = ?", (address,)):
                if blob_address(data) == address:
                    return bytes(data)
    raise JournalError(f"the spectrum {address} was there and is gone")


def _copy_host(source: sqlite3.Connection, target: sqlite3.Connection, kept: int) -> None:
    """The facts of the host that are sound; of the first format, all that can be read."""
    checked = file_version(source) > 1
    columns = "seq, key, value, sha256" if checked else "seq, key, value"
    with contextlib.suppress(*UNREADABLE):  # worth saving, not worth failing for
        for seq, key, value, *check in source.execute(f"SELECT {columns} FROM host ORDER BY rowid"):
            own = host_check(seq, key, value)
            if seq <= kept and (not checked or check == [own]):
                target.execute("INSERT INTO host VALUES (?, ?, ?, ?)", (seq, key, value, own))


def _free_name(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in itertools.count(1))
    return next(name for name in names if not name.exists())
