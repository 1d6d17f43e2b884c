"""Where SQLite finds no way to the records of a damaged journal, its pages still hold them."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.clock.virtual_time import UtcClock, run_virtual
from orchestrator.errors import JournalError
from orchestrator.journal.journal import Journal, JournalDamaged, recover
from orchestrator.journal.pages import NotARecord, Pages, look_through
from orchestrator.journal.store import JournalNewer
from tests.crash.bit_flips import Said, journal, said
from tests.crash.power_loss import NAME

RECORDS = 40
PAGE = 4096


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Said, bytes, dict[str, bytes]]:
    """What a journal says, its file closed in good order, and its files as a kill would have left them."""
    folder = tmp_path_factory.mktemp("journal")
    truth, killed = journal(folder, RECORDS)
    return truth, (folder / NAME).read_bytes(), killed


def laid_out(folder: Path, content: bytes, *damages: tuple[int, bytes]) -> Path:
    """The file with bytes of it replaced; its mark is not there."""
    altered = bytearray(content)
    for at, other in damages:
        altered[at : at + len(other)] = other
    path = folder / NAME
    path.write_bytes(bytes(altered))
    return path


@pytest.mark.parametrize("page_size", [512, PAGE, 65536])
@pytest.mark.parametrize("number", [0, 10_000, 2**32 - 1])
def test_a_pointer_to_a_page_that_is_not_there_is_no_failure_of_the_disk(
    closed: tuple[Said, bytes, dict[str, bytes]], tmp_path: Path, number: int, page_size: int
) -> None:
    path = laid_out(tmp_path, closed[1])
    with Pages(path, page_size) as pages, pytest.raises(NotARecord):
        pages.page(number)


def root_of(path: Path, table: str) -> int:
    """Where the page begins that leads to a table."""
    with closing(sqlite3.connect(path)) as connection:
        row = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    return int(row[0] - 1) * PAGE


def test_the_pages_hold_what_sqlite_reads(closed: tuple[Said, bytes, dict[str, bytes]], tmp_path: Path) -> None:
    (lines, host), content, _ = closed
    path = laid_out(tmp_path, content)
    found = look_through(path)
    assert found is not None
    assert (found.kept, len(found.host)) == (len(lines), len(host))


@pytest.mark.parametrize("damage", [(0, b"\0" * PAGE), (16, b"\x20"), (44, b"\xff"), (56, b"\xff"), (101, b"\xff\xff")])
def test_a_damaged_first_page_costs_no_record(
    closed: tuple[Said, bytes, dict[str, bytes]], tmp_path: Path, damage: tuple[int, bytes]
) -> None:
    truth, content, _ = closed
    path = laid_out(tmp_path, content, damage)
    with pytest.raises(JournalError, match="'lumiflow recover' keeps what is sound"):
        Journal.open(path, readonly=True)
    with pytest.raises(JournalError):
        Journal.open(path)
    saved = recover(path)
    assert saved.kept == RECORDS
    assert saved.damaged_copy is not None
    assert said(path) == truth


@pytest.mark.parametrize("name", [b"k\x05y", b"k\xa0y"])
def test_a_damaged_schema_is_damage_and_costs_no_record(
    closed: tuple[Said, bytes, dict[str, bytes]], tmp_path: Path, name: bytes
) -> None:
    truth, content, _ = closed
    schema = b"CREATE TABLE meta ("
    path = laid_out(tmp_path, content, (content.index(schema) + len(schema), name))
    with pytest.raises(JournalError):
        Journal.open(path)
    assert recover(path).kept == RECORDS
    assert said(path) == truth


@pytest.mark.parametrize("table", ["events", "meta", "blobs", "host"])
def test_a_lost_page_that_leads_to_others_costs_only_what_stood_on_it(
    closed: tuple[Said, bytes, dict[str, bytes]], tmp_path: Path, table: str
) -> None:
    (lines, _), content, _ = closed
    path = laid_out(tmp_path, content)
    path = laid_out(tmp_path, content, (root_of(path, table), b"\0" * PAGE))
    with pytest.raises(JournalError):
        Journal.open(path)
    assert recover(path).kept == RECORDS
    assert said(path)[0] == lines


@pytest.mark.parametrize("at", [0, 24 + 100])  # the number of the first frame's page, far behind all; its page
def test_behind_a_damaged_frame_of_the_log_the_records_are_found(
    closed: tuple[Said, bytes, dict[str, bytes]], tmp_path: Path, at: int
) -> None:
    (lines, _), _, killed = closed
    for name, content in killed.items():
        (tmp_path / name).write_bytes(content)
    path, log = tmp_path / NAME, tmp_path / f"{NAME}-wal"
    altered = bytearray(killed[log.name])
    altered[32 + at] ^= 0x40
    log.write_bytes(bytes(altered))
    with pytest.raises(JournalDamaged, match="is lost") as damage:
        Journal.open(path)
    saved = recover(path)
    assert damage.value.seq - 1 < saved.kept == RECORDS
    assert said(path)[0] == lines


def test_whoever_tries_to_write_to_a_damaged_journal_leaves_its_log_to_be_saved(
    closed: tuple[Said, bytes, dict[str, bytes]], tmp_path: Path
) -> None:
    for name, content in closed[2].items():
        (tmp_path / name).write_bytes(content)
    path, log = tmp_path / NAME, tmp_path / f"{NAME}-wal"
    altered = bytearray(closed[2][log.name])
    altered[32 + 24 + 100] ^= 1
    log.write_bytes(bytes(altered))
    with pytest.raises(JournalDamaged):
        Journal.open(path)
    assert log.read_bytes() == bytes(altered)


def test_a_record_that_was_altered_ends_what_is_kept(
    closed: tuple[Said, bytes, dict[str, bytes]], tmp_path: Path
) -> None:
    (lines, _), content, _ = closed
    own = lines[6].split('"')[-2].encode()  # the hash of the seventh record
    path = laid_out(tmp_path, content.replace(own, b"x" + own[1:]), (0, b"\0" * PAGE))
    assert recover(path).kept == 6
    assert said(path)[0] == lines[:6]


def test_a_newer_journal_and_a_file_that_is_none_are_left_alone(
    closed: tuple[Said, bytes, dict[str, bytes]], tmp_path: Path
) -> None:
    _, content, _ = closed
    newer = laid_out(tmp_path, content, (60, (3).to_bytes(4, "big")))
    before = newer.read_bytes()
    with pytest.raises(JournalNewer):
        recover(newer)
    assert newer.read_bytes() == before
    letter = tmp_path / "letter.sqlite"
    letter.write_bytes(b"dear reader, " * 1000)
    with pytest.raises(JournalError, match="is not a journal"):
        recover(letter)
    assert letter.read_bytes() == b"dear reader, " * 1000


def test_a_database_without_records_is_not_said_to_be_recoverable(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.write_bytes(b"SQLite format 3\0" + b"\xff" * 3 * PAGE)
    with pytest.raises(JournalError) as refused:
        Journal.open(path, readonly=True)
    assert "recover" not in str(refused.value)
    with pytest.raises(JournalError):
        recover(path)


def test_a_new_journal_does_not_take_over_the_log_that_another_left(
    closed: tuple[Said, bytes, dict[str, bytes]], tmp_path: Path
) -> None:
    for name, content in closed[2].items():
        if name.endswith("-wal"):
            (tmp_path / name).write_bytes(content)

    async def begin() -> None:
        with pytest.raises(JournalError, match="-wal is left of another journal"):
            Journal.create(tmp_path / NAME, UtcClock(asyncio.get_running_loop()))

    run_virtual(begin())
    assert (tmp_path / f"{NAME}-wal").exists()
