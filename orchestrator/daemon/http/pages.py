"""Reading a run's journal a page at a time, while it is being written and without reading all of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import JournalError
from orchestrator.journal.store import Event, JournalDamaged, blob_address, chain_hash, connect

_COLUMNS = "seq, utc, t_s, kind, data, calls, prev_hash, hash"


@dataclass(frozen=True)
class Page:
    """Events in order. `last_seq`: the number of the journal's last event, in this page or not."""

    events: tuple[Event, ...]
    last_seq: int


def read_page(path: Path, *, after: int, limit: int, kind: str | None = None) -> Page:
    """Events after a sequence number, at most `limit` of them; each is checked against its own hash.

    Raises JournalDamaged for one that has been altered, JournalError for what is no journal.
    """
    where, values = ("seq > ? AND kind = ?", (after, kind)) if kind is not None else ("seq > ?", (after,))
    with _reading(path) as connection:
        query = f"SELECT {_COLUMNS} FROM events WHERE {where} ORDER BY seq LIMIT ?"
        rows = connection.execute(query, (*values, limit)).fetchall()
        last = connection.execute("SELECT max(seq) FROM events").fetchone()[0]
    return Page(tuple(_event(path, row) for row in rows), int(last or 0))


def read_blob(path: Path, address: str) -> bytes | None:
    """The bytes kept under an address, or None. Raises JournalDamaged for bytes that are not those of the address."""
    with _reading(path) as connection:
        row = connection.execute("SELECT data FROM blobs WHERE sha256 = ?", (address,)).fetchone()
    if row is None:
        return None
    data = bytes(row[0])
    if blob_address(data) != address:
        raise JournalError(f"{path}: the spectrum {address} has been altered")
    return data


@contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(connect(path, readonly=True)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise JournalError(f"{path}: cannot be read: {error}") from error


def _event(path: Path, row: tuple[Any, ...]) -> Event:
    seq, utc, t_s, kind, data, calls, prev_hash, own = row
    event = Event(utc, t_s, kind, data, calls, seq, prev_hash, own)
    if chain_hash(prev_hash, seq, event) != own:
        raise JournalDamaged(path, seq, f"({kind}) has been altered: its contents do not have its hash")
    return event
