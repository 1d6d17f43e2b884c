"""Bringing journals of older formats up to date, in one transaction, without touching a record.

Format 1 had no seal, and facts of the host without a check.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from orchestrator.errors import JournalError
from orchestrator.journal.seal import SEAL_TABLE, unsealed
from orchestrator.journal.store import APPEND_ONLY, SCHEMA_VERSION, file_version, host_check


def migrate(connection: sqlite3.Connection, path: Path) -> bool:
    """Bring a journal to the present format; True when there was something to do. Its chain stays as it is.

    Raises JournalError when that cannot be written; the file is then as it was.
    """
    if file_version(connection) == SCHEMA_VERSION:
        return False
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            _one_to_two(connection)
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise JournalError(f"{path}: cannot be brought to journal format {SCHEMA_VERSION}: {error}") from error
    return True


def _one_to_two(connection: sqlite3.Connection) -> None:
    for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        connection.execute(f'DROP TRIGGER "{name}"')
    connection.execute(SEAL_TABLE)
    connection.execute("INSERT INTO seal VALUES (1, ?)", (unsealed(),))
    connection.execute("ALTER TABLE host ADD COLUMN sha256 TEXT NOT NULL DEFAULT ''")
    for rowid, seq, key, value in connection.execute("SELECT rowid, seq, key, value FROM host").fetchall():
        connection.execute("UPDATE host SET sha256 = ? WHERE rowid = ?", (host_check(seq, key, value), rowid))
    for statement in APPEND_ONLY.splitlines():
        connection.execute(statement)
