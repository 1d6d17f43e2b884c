"""Saving what precedes the damage of a journal."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from orchestrator.errors import JournalError
from orchestrator.file_lock import FileLock
from orchestrator.journal_store import JournalDamaged, connect, create_file, read_meta, sound_events


@dataclass(frozen=True)
class Recovery:
    """What was saved. `damage` is None for a sound journal, which is left as it is."""

    kept: int
    damage: JournalDamaged | None
    damaged_copy: Path | None


def recover(path: Path) -> Recovery:
    """Replace a damaged journal by one that ends before the damage; the damaged file stays beside it.

    Raises JournalError when the file is not a journal at all, or when another process writes to it.
    """
    try:
        lock = FileLock(path)
    except BlockingIOError as error:
        raise JournalError(f"{path}: another process is writing this journal") from error
    try:
        return _recover(path)
    finally:
        lock.release()


def _recover(path: Path) -> Recovery:
    draft = path.with_name(path.name + ".recovered")
    draft.unlink(missing_ok=True)
    kept, damage = 0, None
    with closing(connect(path, readonly=False)) as source:
        create_file(draft, read_meta(source))
        with closing(connect(draft, readonly=False)) as target:
            target.execute("BEGIN")
            try:
                for event in sound_events(source, path):
                    for address in sorted(event.blobs()):
                        row = source.execute("SELECT data FROM blobs WHERE sha256 = ?", (address,)).fetchone()
                        target.execute("INSERT OR IGNORE INTO blobs VALUES (?, ?)", (address, row[0]))
                    target.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", event.row())
                    kept = event.seq
            except JournalDamaged as error:
                damage = error
            if damage is not None:
                _copy_host(source, target, kept)
            target.execute("COMMIT")
    if damage is None:
        draft.unlink()
        return Recovery(kept, None, None)
    aside = _free_name(path)
    path.rename(aside)
    for suffix in ("-wal", "-shm"):  # what the closed source may have left; it belongs to the damaged file
        leftover = path.with_name(path.name + suffix)
        if leftover.exists():
            leftover.rename(aside.with_name(aside.name + suffix))
    draft.rename(path)
    return Recovery(kept, damage, aside)


def _copy_host(source: sqlite3.Connection, target: sqlite3.Connection, kept: int) -> None:
    try:
        rows = source.execute("SELECT seq, key, value FROM host WHERE seq <= ? ORDER BY rowid", (kept,)).fetchall()
    except sqlite3.DatabaseError:
        return  # facts of the host are worth saving, not worth failing for
    target.executemany("INSERT INTO host VALUES (?, ?, ?)", rows)


def _free_name(path: Path) -> Path:
    names = (path.with_name(f"{path.name}.damaged-{number}") for number in itertools.count(1))
    return next(name for name in names if not name.exists())
