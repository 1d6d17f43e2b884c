"""The journal's file: its tables, its hash chain, and what can be saved of a damaged one.

Each event's hash is the SHA-256 of the hash before it and of its own fields, every field preceded by its length, so
that no two different records have one encoding. The first event follows the hash of the file's `meta` table. Blobs are
kept under the SHA-256 of their bytes, which the events that refer to them contain. The table `host` (paths, versions,
wall times) stands outside the chain, so that two runs with one seed have equal events; each of its rows has a check of
its own. `journal_seal` vouches for the file as a whole.

The version of the file's format stands in its header (`user_version`). The `schema_version` in `meta` is the one that
the journal was begun with, which the chain vouches for; `journal_migration` brings older files up to date.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from orchestrator.canonical import canonical, parse
from orchestrator.errors import JournalError
from orchestrator.file_lock import read_note
from orchestrator.journal.seal import SEAL_TABLE, Mark, SealBroken, check_seal, sync_folder, unsealed

SCHEMA_VERSION = 2
APPLICATION_ID = 0x4C554D49  # "LUMI" in the file's header, for file(1) and for people

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE events (
  seq INTEGER PRIMARY KEY, utc TEXT NOT NULL, t_s REAL NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL,
  calls TEXT NOT NULL, prev_hash TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TABLE blobs (sha256 TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE host (seq INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, sha256 TEXT NOT NULL);
"""
APPEND_ONLY = "".join(
    f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;\n"
    for table in ("meta", "events", "blobs", "host")
    for verb in ("UPDATE", "DELETE")
)

UNREADABLE = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What reading a damaged file raises; the second where SQLite's own words quote bytes of a damaged schema."""

# A blob's address is a bare SHA-256 in quotes; the hash of something else sits under a key that ends in _sha256.
_ADDRESS = re.compile(r'(?<!_sha256":)"([0-9a-f]{64})"')
_WORDS = frozenset({"run_started", "command", "rescued", "paused", "held", "continued", "stopping"})
"""Kinds whose data are what people said, names and all: 64 digits among them are no address."""


class JournalDamaged(JournalError):  # noqa: N818 - a state of the file
    """A journal is torn or altered. `seq`: the first event that cannot be trusted, one past the last if all can."""

    def __init__(self, path: Path, seq: int, what: str, *, outside: bool = False) -> None:
        if outside:
            sound = f"the file {what}, outside its records; all {seq - 1} records are sound"
        else:
            sound = f"record {seq} {what}; the {max(seq - 1, 0)} records before it are sound"
        super().__init__(f"{path}: {sound}; 'lumiflow recover' keeps what is sound")
        self.found = f"{path}: {sound}"
        """What is damaged, without the advice for whoever has not recovered it yet."""
        self.path = path
        self.seq = seq
        self.what = what

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "path": str(self.path), "seq": self.seq}


class JournalNewer(JournalError):  # noqa: N818 - a state of the file
    """A journal was written by a newer Lumiflow: it is not damaged."""


@dataclass(frozen=True)
class Draft:
    """What an event says, before it has its place. `data_text`, `calls_text`: canonical JSON; no calls are ""."""

    utc: str
    t_s: float
    kind: str
    data_text: str
    calls_text: str


@dataclass(frozen=True)
class Event(Draft):
    """One record. `t_s`: seconds of the run; `utc`: ISO 8601 with Z."""

    seq: int
    prev_hash: str
    hash: str

    @classmethod
    def after(cls, prev_hash: str, seq: int, draft: Draft) -> Event:
        """The record that a draft becomes in its place."""
        own = chain_hash(prev_hash, seq, draft)
        return cls(draft.utc, draft.t_s, draft.kind, draft.data_text, draft.calls_text, seq, prev_hash, own)

    def row(self) -> tuple[int, str, float, str, str, str, str, str]:
        """The record in the order of the table's columns."""
        text = (self.kind, self.data_text, self.calls_text, self.prev_hash, self.hash)
        return (self.seq, self.utc, self.t_s, *text)

    @cached_property
    def data(self) -> dict[str, Any]:
        """What happened."""
        value = parse(self.data_text)
        if not isinstance(value, dict):
            raise ValueError(f"event {self.seq}: data is not an object")
        return value

    @cached_property
    def calls(self) -> tuple[dict[str, Any], ...]:
        """The device calls since the event before, in order of completion."""
        return tuple(parse(self.calls_text)) if self.calls_text else ()

    def blobs(self) -> set[str]:
        """Addresses of the blobs that this record refers to."""
        said = "" if self.kind in _WORDS else self.data_text
        return {*_ADDRESS.findall(said), *_ADDRESS.findall(self.calls_text)}


def chain_hash(prev_hash: str, seq: int, draft: Draft) -> str:
    """Hash of one record: SHA-256 over its fields, each preceded by its length in eight bytes, big endian.

    The fields: `prev_hash`, `seq` in decimal, `utc`, `t_s` as IEEE 754 binary64 big endian, `kind`, `data`, `calls`.
    """
    digest = hashlib.sha256()
    texts = (prev_hash, str(seq), draft.utc, draft.kind, draft.data_text, draft.calls_text)
    encoded_fields = [text.encode() for text in texts]
    encoded_fields.insert(3, struct.pack(">d", draft.t_s))
    for encoded in encoded_fields:
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.hexdigest()


def blob_address(data: bytes) -> str:
    """Where a blob is kept: the SHA-256 of its bytes."""
    return hashlib.sha256(data).hexdigest()


def genesis(meta: dict[str, str]) -> str:
    """What the first event's `prev_hash` is."""
    return hashlib.sha256(canonical(meta).encode()).hexdigest()


def create_file(path: Path, meta: dict[str, str]) -> None:
    """Make an empty journal. It appears under its name complete or not at all. Raises JournalError if that exists."""
    if path.exists():
        raise JournalError(f"{path} exists already; a journal is never overwritten")
    log = path.with_name(path.name + "-wal")
    if log.exists():  # SQLite would take it for the new journal's own
        raise JournalError(f"{log} is left of another journal: put that back beside it, or move both away")
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    draft.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(draft, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            connection.executescript("BEGIN;" + _TABLES + SEAL_TABLE + APPEND_ONLY + "COMMIT;")
            connection.execute("INSERT INTO seal VALUES (1, ?)", (unsealed(),))
            connection.executemany("INSERT INTO meta VALUES (?, ?)", sorted(meta.items()))
        draft.rename(path)
        sync_folder(path.parent)
    except (sqlite3.Error, OSError) as error:
        raise JournalError(f"{path}: cannot be created: {error}") from error
    finally:
        draft.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a journal that holds nothing. What is killed meanwhile leaves it whole, or gone."""
    for suffix in ("-wal", "-shm", ""):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def is_journal(path: Path) -> bool:
    """Whether a file is a journal rather than a text. What is no file, a pipe say, is left unread for who wants it."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(15) == b"SQLite format 3"
    except OSError:
        return False


def connect(path: Path, *, readonly: bool) -> sqlite3.Connection:
    """Open a journal's file and check that it is one. Raises JournalError."""
    if not path.is_file():
        raise JournalError(f"{path}: there is no such journal")
    if path.stat().st_size == 0 and not path.with_name(path.name + "-wal").exists():
        raise JournalError(f"{path}: the file is empty")
    # Without a write-ahead log nobody has the file open: it is read as it stands, and nothing is left beside it.
    quiet = readonly and not path.with_name(path.name + "-wal").exists()
    mode = "immutable=1" if quiet else "mode=ro" if readonly else "mode=rw"
    try:
        connection = _open(f"{path.resolve().as_uri()}?{mode}")
    except UNREADABLE as error:
        if _is_of_others(path, error):
            raise JournalError(f"{path}: is an SQLite file, and not a journal of Lumiflow: {error}") from error
        hint = "; 'lumiflow recover' keeps what is sound" if _holds_records(path, error) else ""
        raise JournalError(f"{path}: is not a journal that can be opened: {error}{hint}") from error
    version = file_version(connection)
    if 1 <= version <= SCHEMA_VERSION:
        return connection
    connection.close()
    if version > SCHEMA_VERSION:
        raise JournalNewer(
            f"{path}: was written by a newer Lumiflow (journal format {version}; this one reads up to "
            f"{SCHEMA_VERSION}): open it with that one"
        )
    raise JournalError(f"{path}: is not a journal of any known format ({version})")


def _is_of_others(path: Path, error: Exception) -> bool:
    """Whether SQLite finds no journal's tables in a file whose header speaks of none either: it is no torn one."""
    with path.open("rb") as file:
        marked = file.read(72)[68:] == APPLICATION_ID.to_bytes(4, "big")
    return isinstance(error, sqlite3.OperationalError) and "no such table" in str(error) and not marked


def _holds_records(path: Path, error: Exception) -> bool:
    """Whether there is something to recover in a file that SQLite does not open."""
    from orchestrator.journal.pages import look_through  # here: it is made of this module

    if isinstance(error, sqlite3.OperationalError):
        return False
    try:
        return look_through(path) is not None
    except OSError:
        return False


def file_version(connection: sqlite3.Connection) -> int:
    """The version of the file's format."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def host_check(seq: int, key: str, value: str) -> str:
    """The check of one row of `host`."""
    return hashlib.sha256(canonical([seq, key, value]).encode()).hexdigest()


def _open(uri: str) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("SELECT count(*) FROM meta")
    except BaseException:
        connection.close()
        raise
    return connection


def read_meta(connection: sqlite3.Connection) -> dict[str, str]:
    return {str(key): str(value) for key, value in connection.execute("SELECT key, value FROM meta ORDER BY key")}


def read_events(connection: sqlite3.Connection, path: Path, after: Event | None = None) -> Iterator[Event]:
    """Every event in order, each checked against the chain; those ``after`` an event that was read before.

    Raises JournalDamaged at the first that does not fit.
    """
    seq = 0 if after is None else after.seq
    try:
        previous = genesis(read_meta(connection)) if after is None else after.hash
        rows = connection.execute(
            "SELECT seq, utc, t_s, kind, data, calls, prev_hash, hash FROM events WHERE seq > ? ORDER BY seq", (seq,)
        )
        for row in rows:
            seq += 1
            event = _checked(row, seq, previous, path)
            previous = event.hash
            yield event
    except UNREADABLE as error:
        raise JournalDamaged(path, seq + 1, f"cannot be read ({error})") from error


def _checked(row: tuple[Any, ...], seq: int, previous: str, path: Path) -> Event:
    kinds = (int, str, float, str, str, str, str, str)
    if any(not isinstance(value, kind) for value, kind in zip(row, kinds, strict=True)):
        raise JournalDamaged(path, seq, "holds a value of the wrong kind")
    number, utc, t_s, kind, data, calls, prev_hash, own = row
    event = Event(utc, t_s, kind, data, calls, number, prev_hash, own)
    if event.seq != seq:
        raise JournalDamaged(path, seq, "is missing")
    if event.prev_hash != previous:
        raise JournalDamaged(path, seq, "does not follow from the one before it")
    if chain_hash(previous, seq, event) != event.hash:
        raise JournalDamaged(path, seq, f"({event.kind}) has been altered: its contents do not have its hash")
    return event


def sound_blobs(connection: sqlite3.Connection) -> set[str]:
    """Addresses of the blobs whose bytes have their address."""
    found: set[str] = set()
    try:
        for address, data in connection.execute("SELECT sha256, data FROM blobs"):
            if isinstance(data, bytes) and blob_address(data) == address:
                found.add(address)
    except UNREADABLE:
        pass  # what lies behind the damage counts as lost; the event that needs it is then named
    return found


def verify(connection: sqlite3.Connection, path: Path) -> tuple[int, str, float, str]:
    """Check every record and blob, how many there must be, the facts of the host, and the file as a whole.

    Returns the last sequence number, the head of the chain, the last time in s, and the hash of the first record ("" if
    there is none). Raises JournalDamaged naming the first record that cannot be trusted.
    """
    try:
        seq, head, t_s, first = 0, genesis(read_meta(connection)), 0.0, ""
    except UNREADABLE as error:
        raise JournalDamaged(path, 1, f"cannot be read ({error})") from error
    mark, marked = Mark.parse(read_note(path)), ""
    for event in sound_events(connection, path):
        seq, head, t_s = event.seq, event.hash, event.t_s
        first = first or head
        if mark is not None and mark.seq == seq:
            marked = head
    if mark is not None and first in ("", mark.first):
        if seq < mark.seq:
            raise JournalDamaged(path, seq + 1, f"is lost: the journal had come to record {mark.seq}")
        if mark.seq and marked != mark.head:
            raise JournalDamaged(path, mark.seq, "is not the one that was acknowledged")
    if file_version(connection) > 1:
        try:
            if not check_seal(connection, path):
                _check_structure(connection)
            _check_host(connection)
        except (SealBroken, *UNREADABLE) as error:
            raise JournalDamaged(path, seq + 1, str(error), outside=True) from error
    return seq, head, t_s, first


def _check_structure(connection: sqlite3.Connection) -> None:
    """What no seal vouches for: that the file's trees and indexes fit together."""
    (answer,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if answer != "ok":
        raise SealBroken(f"has a damaged structure ({' '.join(str(answer).split())})")


def _check_host(connection: sqlite3.Connection) -> None:
    for seq, key, value, check in connection.execute("SELECT seq, key, value, sha256 FROM host"):
        if host_check(seq, key, value) != check:
            raise SealBroken(f"has an altered fact of the host ({key})")


def sound_events(connection: sqlite3.Connection, path: Path) -> Iterator[Event]:
    """The events up to the first that is damaged or whose blobs are; that one raises JournalDamaged."""
    blobs = sound_blobs(connection)
    for event in read_events(connection, path):
        lost = event.blobs() - blobs
        if lost:
            raise JournalDamaged(path, event.seq, f"({event.kind}) refers to a spectrum that is lost or altered")
        yield event
