"""Journals of other formats: older ones are brought up to date as they are opened, newer ones refused."""

from __future__ import annotations

import asyncio
import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.canonical import canonical
from orchestrator.cli.commands import app
from orchestrator.clock.virtual_time import UtcClock, run_virtual
from orchestrator.errors import JournalError
from orchestrator.file_lock import read_note
from orchestrator.journal.journal import Journal, JournalDamaged, recover
from orchestrator.journal.store import SCHEMA_VERSION, Draft, Event

FIRST_FORMAT = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE events (
  seq INTEGER PRIMARY KEY, utc TEXT NOT NULL, t_s REAL NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL,
  calls TEXT NOT NULL, prev_hash TEXT NOT NULL, hash TEXT NOT NULL);
CREATE TABLE blobs (sha256 TEXT PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE host (seq INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL);
CREATE TRIGGER events_no_update BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER host_no_update BEFORE UPDATE ON host BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
"""


def write_first_format(path: Path, count: int = 3) -> tuple[str, ...]:
    """A journal as the first format had it; returns its events as lines."""
    meta = {"clock": "virtual", "schema_version": "1"}
    lines = []
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.executescript(FIRST_FORMAT)
        connection.execute("PRAGMA user_version=1")
        connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())
        head = hashlib.sha256(canonical(meta).encode()).hexdigest()
        for n in range(count):
            draft = Draft(f"2000-01-01T00:00:0{n}.000000Z", float(n), "told", canonical({"n": n}), "")
            event = Event.after(head, n + 1, draft)
            connection.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?)", event.row())
            lines.append(canonical(event.row()))
            head = event.hash
        connection.execute("INSERT INTO host VALUES (1, 'journal', '\"/data/run\"')")
    return tuple(lines)


def append_one(path: Path) -> None:
    async def main() -> None:
        with Journal.open(path, UtcClock(asyncio.get_running_loop())) as journal:
            await journal.append("told", {"n": 99})
            await journal.note_host("wall_s", 1.0)

    run_virtual(main())


def test_the_first_format_can_be_read_without_being_touched(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    lines = write_first_format(path)
    before = path.read_bytes()
    with Journal.open(path, readonly=True) as journal:
        assert tuple(canonical(event.row()) for event in journal.events()) == lines
        assert journal.host() == ((1, "journal", "/data/run"),)
    assert path.read_bytes() == before


def test_the_first_format_is_brought_up_to_date_and_its_records_stay_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    lines = write_first_format(path)
    append_one(path)
    with Journal.open(path, readonly=True) as journal:
        events = list(journal.events())
        assert tuple(canonical(event.row()) for event in events[:3]) == lines
        assert events[3].data == {"n": 99}
        assert [fact[1:] for fact in journal.host()] == [("journal", "/data/run"), ("wall_s", 1.0)]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            connection.execute("UPDATE host SET value = '2'")


def test_a_damaged_journal_of_the_first_format_is_recovered_into_the_present_one(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    write_first_format(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER events_no_update")
        connection.execute("UPDATE events SET kind = 'x' WHERE seq = 3")
    assert recover(path).kept == 2
    append_one(path)
    with Journal.open(path, readonly=True) as journal:
        assert journal.seq == 3


def test_a_newer_journal_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "new.sqlite"
    write_first_format(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    for readonly in (True, False):
        with pytest.raises(JournalError, match="written by a newer Lumiflow"):
            Journal.open(path, readonly=readonly)


def test_a_closed_journal_bears_a_seal_that_covers_what_the_chain_does_not(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    write_first_format(path)
    append_one(path)
    with closing(sqlite3.connect(path)) as connection:
        (text,) = connection.execute("SELECT text FROM seal").fetchone()
    content = bytearray(path.read_bytes())
    at = content.index(text.encode())
    assert at // 512 == (at + len(text) - 1) // 512  # one sector: a disk writes all of it or nothing
    content[at + 20] = ord("1" if content[at + 20] == ord("0") else "0")
    path.write_bytes(content)
    with pytest.raises(
        JournalDamaged, match="altered since it was closed, outside its records; all 4 records"
    ) as caught:
        Journal.open(path)
    assert caught.value.seq == 5
    assert recover(path).kept == 4
    append_one(path)


def test_an_altered_fact_of_the_host_is_noticed_before_the_journal_is_sealed(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"

    async def main() -> None:
        with Journal.create(path, UtcClock(asyncio.get_running_loop())) as journal:
            await journal.append("told", {})
            await journal.note_host("wall_s", 1.0)
            with closing(sqlite3.connect(path)) as vandal, vandal:
                vandal.execute("DROP TRIGGER host_no_update")
                vandal.execute("UPDATE host SET value = '2.0'")
            with pytest.raises(JournalDamaged, match=r"altered fact of the host \(wall_s\)"):
                Journal.open(path, readonly=True)

    run_virtual(main())


def test_the_mark_in_the_lock_file_says_how_far_the_journal_has_come(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"

    async def main() -> None:
        with Journal.create(path, UtcClock(asyncio.get_running_loop())) as journal:
            await journal.append("told", {})
            event = await journal.append("told", {})
            assert read_note(path).split()[:2] == ["2", event.hash]

    run_virtual(main())


def test_the_mark_of_another_journal_of_the_same_name_is_no_accusation(tmp_path: Path) -> None:
    path, other = tmp_path / "run.sqlite", tmp_path / "other.sqlite"
    write_first_format(path, 3)
    append_one(path)
    write_first_format(other, 1)
    append_one(other)

    async def main() -> None:
        with Journal.create(tmp_path / "third.sqlite", UtcClock(asyncio.get_running_loop())) as journal:
            await journal.append("begun otherwise", {})

    run_virtual(main())
    (tmp_path / "third.sqlite").replace(path)
    with Journal.open(path) as journal:
        assert journal.seq == 1


def test_a_commit_in_the_thread_of_an_event_loop_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"

    async def main() -> None:
        with Journal.create(path, UtcClock(asyncio.get_running_loop())) as journal:
            with pytest.raises(RuntimeError, match="thread that runs an event loop"):
                journal._write_host("wall_s", "1.0")
            await journal.note_host("wall_s", 1.0)

    run_virtual(main())


def test_the_command_line_recovers_a_damaged_journal(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    write_first_format(path)
    append_one(path)
    content = path.read_bytes()
    path.write_bytes(content.replace(b'{"n":2}', b'{"n":3}'))
    said = CliRunner().invoke(app, ["recover", str(path), "--json"])
    assert said.exit_code == 0
    assert json.loads(said.stdout)["kept"] == 2
    assert "sound, 2 records" in CliRunner().invoke(app, ["recover", str(path)]).stdout
