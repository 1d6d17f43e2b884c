"""What vouches for a journal beyond its hash chain: a seal over every byte at rest, and a mark of how far it has come.

The chain covers the records. A flipped bit in a page's slack, in the file's header or in a fact of the host leaves it
whole, so a journal that is closed in good order carries the SHA-256 of its own bytes in the table `seal`, computed with
the 64 digits of the digest itself as zeros. While the file is written the digits are zeros in the file too.

A write-ahead log whose frame is damaged ends, for SQLite, before that frame, which is also what a log looks like whose
last write was torn. The mark tells the two apart: the number and hash of the last acknowledged record, written after
each commit into the file of the journal's lock. It is not synced, so after a power failure it may lag; it never leads.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from dataclasses import dataclass
from pathlib import Path

SEAL_TABLE = "CREATE TABLE seal (id INTEGER PRIMARY KEY CHECK (id = 1), text TEXT NOT NULL);\n"
OPEN_DIGEST = "0" * 64
_PREFIX = "seal:"
_TEXT = re.compile(r"seal:[0-9a-f]{64}")
_CHUNK = 1 << 20


class SealBroken(ValueError):  # noqa: N818 - a state of the file
    """The file does not have the bytes that it was closed with."""


def unsealed() -> str:
    """The text of the seal of a file that is being written."""
    return _PREFIX + OPEN_DIGEST


def read_seal(connection: sqlite3.Connection) -> str:
    """The text of the seal as SQLite sees it. Raises SealBroken when it is not one."""
    rows = connection.execute("SELECT text FROM seal").fetchall()
    text = rows[0][0] if len(rows) == 1 else None
    if not isinstance(text, str) or not _TEXT.fullmatch(text):
        raise SealBroken("has lost its seal")
    return text


def check_seal(connection: sqlite3.Connection, path: Path) -> bool:
    """Compare the file with its seal; False when it bears none. Raises SealBroken, sqlite3.DatabaseError, OSError."""
    text = read_seal(connection)
    if text == unsealed():
        return False
    if _digest(path, _position(connection, path, text)) == text.removeprefix(_PREFIX):
        return True
    if read_seal(connection) == text:
        raise SealBroken("has been altered since it was closed")
    return False  # somebody began to write meanwhile


def seal(path: Path) -> bool:
    """Seal a file that nobody has open and whose log is empty; False when it cannot be sealed now.

    Raises OSError.
    """
    if path.with_name(path.name + "-wal").exists():
        return False
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?immutable=1", uri=True)
    try:
        position = _position(connection, path, unsealed())
    except (SealBroken, sqlite3.DatabaseError):
        return False
    finally:
        connection.close()
    digest = _digest(path, position)
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        os.lseek(descriptor, position, os.SEEK_SET)
        os.write(descriptor, digest.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True


def _position(connection: sqlite3.Connection, path: Path, text: str) -> int:
    """Where in the file the digits of the digest stand."""
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    row = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'seal'").fetchone()
    if row is None:
        raise SealBroken("has lost its seal")
    start = (row[0] - 1) * page_size
    with path.open("rb") as file:
        file.seek(start)
        page = file.read(page_size)
    if page.count(text.encode()) != 1:
        raise SealBroken("has a seal that is not where it must be")
    return int(start + page.index(text.encode()) + len(_PREFIX))


def _digest(path: Path, position: int) -> str:
    """SHA-256 of the file with the digits at `position` as zeros."""
    digest = hashlib.sha256()
    at = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            low, high = max(position - at, 0), min(position + len(OPEN_DIGEST) - at, len(chunk))
            if low < high:
                chunk = chunk[:low] + b"0" * (high - low) + chunk[high:]
            digest.update(chunk)
            at += len(chunk)
    return digest.hexdigest()


@dataclass(frozen=True)
class Mark:
    """The last acknowledged record: its number and hash, and the hash of the first, which says whose journal it is."""

    seq: int
    head: str
    first: str

    def text(self) -> str:
        """One line, with a check of its own: a mark that was damaged is no mark."""
        words = f"{self.seq} {self.head} {self.first}"
        return f"{words} {_short(words)}\n"

    @classmethod
    def parse(cls, text: str) -> Mark | None:
        """The mark that a text holds, or None."""
        words, _, check = text.strip().rpartition(" ")
        fields = words.split(" ")
        if len(fields) != 3 or not fields[0].isdecimal() or check != _short(words):
            return None
        return cls(int(fields[0]), fields[1], fields[2])


def _short(words: str) -> str:
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def sync_folder(folder: Path) -> None:
    """Have a new name in a folder survive a power failure. Nothing where folders cannot be synced (Windows)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
