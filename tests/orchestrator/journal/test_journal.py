"""The journal: what was appended is there, what was altered is named, and one process writes at a time."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import textwrap
from collections.abc import Coroutine
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.canonical import canonical, first_difference, parse
from orchestrator.clock.virtual_time import UtcClock, run_real, run_virtual
from orchestrator.errors import JournalError
from orchestrator.journal.journal import Journal, JournalDamaged, JournalLocked, RecordDiffers, recover

SPECTRUM = struct.pack("<4f", 1.0, 2.0, 3.0, 4.5)


async def write(path: Path, count: int = 5, *, start: int = 0) -> None:
    """Events of a small run, one per virtual second, the third with a call and a spectrum."""
    clock = UtcClock(asyncio.get_running_loop())
    with Journal.create(path, clock) as journal:
        for n in range(start, count):
            await asyncio.sleep(1.0)
            await append_one(journal, clock, n)


async def append_one(journal: Journal, clock: UtcClock, n: int) -> None:
    if n == 2:
        address = journal.put_blob(SPECTRUM)
        journal.note_call({"d": "spectrometer", "i": 0, "v": "acquire", "a": {}, "t": clock.t_s(), "r": address})
    await journal.append("told", {"n": n, "peak_ev": 2.25 + n / 7, "flags": []})


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    run_virtual(coroutine)


def tamper(path: Path, statement: str) -> None:
    """Alter a journal behind its back, as no program that honours its triggers could."""
    with closing(sqlite3.connect(path)) as connection, connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for (name,) in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement)


def test_what_was_appended_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    run(write(tmp_path / "run.journal"))
    with Journal.open(tmp_path / "run.journal", readonly=True) as journal:
        events = list(journal.events())
        assert [event.data["n"] for event in events] == [0, 1, 2, 3, 4]
        assert [event.t_s for event in events] == [1.0, 2.0, 3.0, 4.0, 5.0]
        assert events[0].utc == "2000-01-01T00:00:01.000000Z"
        (call,) = events[2].calls
        assert journal.blob(call["r"]) == SPECTRUM
        assert events[3].calls == ()
        assert journal.head == events[-1].hash
        assert journal.seq == 5


def test_two_runs_of_one_program_give_equal_bytes(tmp_path: Path) -> None:
    texts = []
    for name in ("one", "two"):
        run(write(tmp_path / name))
        with Journal.open(tmp_path / name, readonly=True) as journal:
            texts.append(journal.dump())
    assert texts[0] == texts[1]
    assert texts[0].count("\n") == 5


def test_facts_of_the_host_stay_outside_the_chain(tmp_path: Path) -> None:
    async def main(path: Path, note: str | None) -> str:
        with Journal.create(path, UtcClock(asyncio.get_running_loop())) as journal:
            await journal.append("run_started", {})
            if note is not None:
                await journal.note_host("path", note)
                assert journal.host() == ((1, "path", note),)
            return journal.dump()

    assert run_virtual(main(tmp_path / "a", "/home/anna")) == run_virtual(main(tmp_path / "b", None))


def test_an_event_that_returned_survives_the_death_of_its_process(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    program = f"""
        import asyncio, os, pathlib, signal
        from orchestrator.journal.journal import Journal
        from orchestrator.clock.virtual_time import UtcClock, run_virtual
        async def main():
            journal = Journal.create(pathlib.Path({str(path)!r}), UtcClock(asyncio.get_running_loop()))
            for n in range(10):
                await journal.append("told", {{"n": n}})
            os.kill(os.getpid(), signal.SIGKILL)
        run_virtual(main())
    """
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], cwd=root, check=False)
    assert done.returncode == -signal.SIGKILL
    with Journal.open(path) as journal:
        assert [event.data["n"] for event in journal.events()] == list(range(10))


def test_a_second_writer_is_refused_and_a_reader_is_not(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"

    async def main() -> None:
        with Journal.create(path, UtcClock(asyncio.get_running_loop())) as journal:
            await journal.append("run_started", {})
            with pytest.raises(JournalLocked, match="another process"):
                Journal.open(path)
            with Journal.open(path, readonly=True) as reader:
                assert reader.seq == 1
        Journal.open(path).close()

    run(main())


def test_an_existing_journal_is_never_overwritten(tmp_path: Path) -> None:
    run(write(tmp_path / "run.journal"))
    with pytest.raises(JournalError, match="exists already"):
        run(write(tmp_path / "run.journal"))
    with Journal.open(tmp_path / "run.journal", readonly=True) as journal:
        assert journal.seq == 5


@pytest.mark.parametrize("statement", ["UPDATE events SET kind = 'x'", "DELETE FROM events", "DELETE FROM blobs"])
def test_the_file_itself_refuses_to_be_altered(tmp_path: Path, statement: str) -> None:
    run(write(tmp_path / "run.journal"))
    with (
        closing(sqlite3.connect(tmp_path / "run.journal")) as connection,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        connection.execute(statement)


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE events SET data = replace(data, '2.25', '2.26') WHERE seq = 1", 1),
        ("UPDATE events SET t_s = 2.5 WHERE seq = 2", 2),
        ("UPDATE events SET utc = '2000-01-01T00:00:02.000001Z' WHERE seq = 2", 2),
        ("UPDATE events SET kind = 'refused' WHERE seq = 4", 4),
        ("UPDATE events SET calls = '' WHERE seq = 3", 3),
        ("UPDATE events SET hash = '00' WHERE seq = 5", 5),
        ("UPDATE events SET data = x'00' WHERE seq = 5", 5),
        ("DELETE FROM events WHERE seq = 2", 2),
        ("DELETE FROM blobs", 3),
        ("UPDATE blobs SET data = x'00'", 3),
    ],
)
def test_an_altered_record_is_named_and_what_precedes_it_is_kept(tmp_path: Path, statement: str, seq: int) -> None:
    path = tmp_path / "run.journal"
    run(write(path))
    tamper(path, statement)
    with pytest.raises(JournalDamaged) as caught:
        Journal.open(path)
    assert caught.value.seq == seq
    assert str(seq) in str(caught.value)
    assert "lumiflow recover" in str(caught.value)
    saved = recover(path)
    assert saved.kept == seq - 1
    assert saved.damaged_copy is not None
    assert saved.damaged_copy.exists()
    with Journal.open(path) as journal:
        assert [event.data["n"] for event in journal.events()] == list(range(seq - 1))


def test_a_journal_beside_which_nothing_can_be_written_is_not_recovered_there(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    run(write(path))
    path.with_name("run.journal.lock").unlink()
    path.with_name("run.journal.lock").mkdir()
    with pytest.raises(JournalError, match="cannot be recovered where it lies"):
        recover(path)


def test_an_altered_beginning_is_told_by_the_chain_that_follows_from_the_true_one(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    run(write(path))
    tamper(path, "UPDATE meta SET value = 'wall' WHERE key = 'clock'")
    with pytest.raises(JournalDamaged) as caught:
        Journal.open(path)
    assert caught.value.seq == 1
    assert recover(path).kept == 5
    with Journal.open(path) as journal:
        assert journal.virtual


def test_a_sound_journal_needs_no_recovery(tmp_path: Path) -> None:
    run(write(tmp_path / "run.journal"))
    before = (tmp_path / "run.journal").read_bytes()
    assert recover(tmp_path / "run.journal").damage is None
    assert (tmp_path / "run.journal").read_bytes() == before


def test_overwritten_pages_are_an_error_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"
    run(write(path, 200))
    content = bytearray(path.read_bytes())
    content[20_000:30_000] = b"\xff" * 10_000
    path.write_bytes(content)
    with pytest.raises(JournalError):
        Journal.open(path)
    assert recover(path).kept < 200
    Journal.open(path).close()


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "the file is empty"), (b"not a database, but long enough to be read as one" * 100, "not a journal")],
)
def test_a_file_that_is_no_journal_is_refused_and_nothing_is_left_beside_it(
    tmp_path: Path, content: bytes, words: str
) -> None:
    (tmp_path / "run.journal").write_bytes(content)
    for readonly in (True, False):
        with pytest.raises(JournalError, match=words):
            Journal.open(tmp_path / "run.journal", readonly=readonly)
    with pytest.raises(JournalError, match="no such journal"):
        Journal.open(tmp_path / "absent.journal")
    assert [path.name for path in tmp_path.iterdir()] == ["run.journal"]


def test_a_journal_on_a_read_only_medium_can_be_read(tmp_path: Path) -> None:
    run(write(tmp_path / "run.journal"))
    (tmp_path / "run.journal.lock").unlink()
    (tmp_path / "run.journal").chmod(0o444)
    tmp_path.chmod(0o555)
    try:
        with Journal.open(tmp_path / "run.journal", readonly=True) as journal:
            assert journal.seq == 5
    finally:
        tmp_path.chmod(0o755)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"bytes", {1: "a"}, "\ud800", {"deep": [{2: 3}]}])
def test_what_json_cannot_say_is_refused_before_anything_is_written(tmp_path: Path, value: Any) -> None:
    async def main() -> None:
        with Journal.create(tmp_path / "run.journal", UtcClock(asyncio.get_running_loop())) as journal:
            with pytest.raises(JournalError, match="cannot be kept"):
                await journal.append("told", {"value": value})
            with pytest.raises(JournalError, match="cannot be kept"):
                journal.note_call({"r": value})
            assert (await journal.append("told", {})).seq == 1

    run(main())


def test_a_journal_that_failed_to_write_is_closed_to_writing(tmp_path: Path) -> None:
    path = tmp_path / "run.journal"

    async def main() -> None:
        with Journal.create(path, UtcClock(asyncio.get_running_loop())) as journal:
            await journal.append("told", {"n": 0})
            with closing(sqlite3.connect(path)) as vandal, vandal:
                vandal.execute("DROP TABLE events")
            with pytest.raises(JournalError, match="is not written"):
                await journal.append("told", {"n": 1})
            with pytest.raises(JournalError, match="earlier write failed"):
                await journal.append("told", {"n": 2})

    run(main())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows deletes and moves no file that is open")
@pytest.mark.parametrize("how", ["deleted", "moved", "with its folder"])
def test_a_journal_that_has_left_its_place_is_not_written_on_where_nobody_would_find_it(
    tmp_path: Path, how: str
) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()
    path, moved = folder / "run.journal", tmp_path / "elsewhere.journal"

    async def main() -> None:
        with Journal.create(path, UtcClock(asyncio.get_running_loop())) as journal:
            await journal.append("told", {"n": 0})
            if how == "with its folder":
                shutil.rmtree(folder)
            else:
                path.unlink() if how == "deleted" else path.rename(moved)
            with pytest.raises(JournalError, match="deleted or moved"):
                await journal.append("told", {"n": 1})

    run(main())
    if how == "moved":
        moved.rename(path)
        with Journal.open(path, readonly=True) as journal:
            assert [event.data["n"] for event in journal.events()] == [0]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows deletes no file that is open")
def test_a_journal_that_is_gone_when_it_is_closed_fails_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    folder.mkdir()

    async def main() -> None:
        with Journal.create(folder / "run.journal", UtcClock(asyncio.get_running_loop())) as journal:
            await journal.append("told", {"n": 0})
            shutil.rmtree(folder)

    run(main())


def test_concurrent_appends_keep_the_order_in_which_they_were_asked_for(tmp_path: Path) -> None:
    async def main() -> list[int]:
        with Journal.create(tmp_path / "run.journal", UtcClock(asyncio.get_running_loop())) as journal:
            await asyncio.gather(*(journal.append("told", {"n": n}) for n in range(50)))
            return [event.data["n"] for event in journal.events()]

    assert run_virtual(main()) == list(range(50))


def test_it_works_on_an_ordinary_loop_with_wall_time(tmp_path: Path) -> None:
    run_real(write(tmp_path / "run.journal", 1, start=1))
    with Journal.open(tmp_path / "run.journal", readonly=True) as journal:
        assert not journal.virtual


def test_catching_up_goes_through_the_stored_events_and_then_writes_on(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    run(write(whole, 6))
    run(write(cut, 3))

    async def resume() -> str:
        clock = UtcClock(asyncio.get_running_loop())
        with Journal.open(cut, clock) as journal:
            journal.catch_up()
            for n in range(6):
                assert journal.catching_up == (n < 3)
                ahead = journal.peek_next("told")
                assert (ahead.data["n"] if ahead else None) == (n if n < 3 else None)
                await asyncio.sleep(1.0)
                await append_one(journal, clock, n)
            return journal.dump()

    resumed = run_virtual(resume())
    with Journal.open(whole, readonly=True) as journal:
        assert resumed == journal.dump()


@pytest.mark.parametrize(
    ("kind", "data", "pause_s", "where"),
    [
        ("refused", {"n": 0, "peak_ev": 2.25, "flags": []}, 1.0, "kind"),
        ("told", {"n": 0, "peak_ev": 2.250001, "flags": []}, 1.0, "data.peak_ev"),
        ("told", {"n": 0, "peak_ev": 2.25, "flags": ["dark"]}, 1.0, "data.flags[0]"),
        ("told", {"n": 0, "peak_ev": 2.25, "flags": []}, 1.5, "t_s"),
    ],
)
def test_the_first_difference_from_the_record_is_named(
    tmp_path: Path, kind: str, data: dict[str, Any], pause_s: float, where: str
) -> None:
    run(write(tmp_path / "run.journal"))

    async def main() -> None:
        with Journal.open(tmp_path / "run.journal", UtcClock(asyncio.get_running_loop())) as journal:
            journal.catch_up()
            await asyncio.sleep(pause_s)
            with pytest.raises(RecordDiffers) as caught:
                await journal.append(kind, data)
            assert (caught.value.seq, caught.value.where) == (1, where)
            with pytest.raises(RecordDiffers):  # and it stays the first
                await journal.append("told", {"n": 0, "peak_ev": 2.25, "flags": []})

    run(main())


def test_a_copy_taken_of_the_closed_file_is_a_whole_journal(tmp_path: Path) -> None:
    run(write(tmp_path / "run.journal"))
    shutil.copy(tmp_path / "run.journal", tmp_path / "copy.journal")
    with Journal.open(tmp_path / "copy.journal", readonly=True) as journal:
        assert journal.seq == 5


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=50, deadline=None)
@given(json_values)
def test_canonical_text_comes_back_as_the_same_value(value: Any) -> None:
    text = canonical(value)
    assert canonical(parse(text)) == text
    assert first_difference(value, parse(text)) is None


def test_canonical_text_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical({"b": 1.0, "a": [True, None, "µ"]}) == '{"a":[true,null,"µ"],"b":1.0}'


@settings(max_examples=50, deadline=None)
@given(json_values, json_values)
def test_values_differ_somewhere_exactly_when_their_texts_do(left: Any, right: Any) -> None:
    assert (first_difference(left, right) is None) == (canonical(left) == canonical(right))
