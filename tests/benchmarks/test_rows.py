"""Rows that the repository keeps: what is kept, and what a clean clone begins with."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

import pytest

from tests.benchmarks.rows import appended, begin_with_kept, finished, keep


def line(arm: str, seed: int, code: str = "new") -> str:
    return json.dumps({"code": code, "run": {"arm": arm, "seed": seed, "truth": [0.5, None]}}) + "\n"


def test_a_results_file_that_is_not_there_begins_with_the_rows_that_were_kept_of_it(tmp_path: Path) -> None:
    results, rows = tmp_path / "runs" / "bench.jsonl", tmp_path / "rows"
    results.parent.mkdir()
    results.write_text(line("gp", 1) + line("gp", 2), encoding="utf-8")
    keep(results, ("arm", "seed"), rows)
    results.unlink()
    results.parent.rmdir()
    begin_with_kept(results, rows)
    assert results.read_text(encoding="utf-8") == line("gp", 1) + line("gp", 2)


def test_a_results_file_that_is_there_stays_as_it_is_and_one_without_kept_rows_does_not_come_to_be(
    tmp_path: Path,
) -> None:
    results, rows = tmp_path / "bench.jsonl", tmp_path / "rows"
    results.write_text(line("gp", 1), encoding="utf-8")
    keep(results, ("arm", "seed"), rows)
    results.write_text(line("gp", 2), encoding="utf-8")
    begin_with_kept(results, rows)
    assert results.read_text(encoding="utf-8") == line("gp", 2)
    begin_with_kept(tmp_path / "other.jsonl", rows)
    assert not (tmp_path / "other.jsonl").exists()
    keep(tmp_path / "other.jsonl", ("arm", "seed"), rows)
    assert [kept.name for kept in rows.iterdir()] == ["bench.jsonl.xz"]


def test_of_each_campaign_the_newest_row_is_kept_and_the_order_of_running_leaves_no_trace(tmp_path: Path) -> None:
    results, rows = tmp_path / "bench.jsonl", tmp_path / "rows"
    results.write_text(line("gp", 1, "old") + line("ax", 1) + line("gp", 1), encoding="utf-8")
    keep(results, ("arm", "seed"), rows)
    first = (rows / "bench.jsonl.xz").read_bytes()
    assert lzma.decompress(first).decode() == line("ax", 1) + line("gp", 1)
    results.write_text(line("gp", 1) + line("ax", 1) + line("ax", 2)[:-9], encoding="utf-8")
    keep(results, ("arm", "seed"), rows)
    assert (rows / "bench.jsonl.xz").read_bytes() == first


def test_kept_rows_stay_where_a_smaller_results_file_is_kept_and_give_way_to_none_of_older_code(tmp_path: Path) -> None:
    results, rows = tmp_path / "bench.jsonl", tmp_path / "rows"
    results.write_text(line("gp", 1) + line("gp", 2), encoding="utf-8")
    keep(results, ("arm", "seed"), rows)
    results.write_text(line("gp", 1, "old") + line("gp", 3, "old"), encoding="utf-8")
    keep(results, ("arm", "seed"), rows, current={"new"})
    results.write_text(line("gp", 2, "old"), encoding="utf-8")
    keep(results, ("arm", "seed"), rows, current={"newer"})
    kept = lzma.decompress((rows / "bench.jsonl.xz").read_bytes()).decode()
    assert kept == line("gp", 1) + line("gp", 2) + line("gp", 3, "old")


def test_rows_of_a_table_that_has_changed_are_dropped(tmp_path: Path) -> None:
    results, rows = tmp_path / "pool.jsonl", tmp_path / "rows"
    for digest, seed in (("before", 1), ("after", 2)):
        row = {"digest": digest, "planners": "new", "arm": "gp", "seed": seed}
        results.write_text(json.dumps(row) + "\n", encoding="utf-8")
        keep(results, ("arm", "seed"), rows)
    assert lzma.decompress((rows / "pool.jsonl.xz").read_bytes()).decode() == results.read_text(encoding="utf-8")


def test_a_last_line_that_was_not_finished_is_cut_off_when_rows_are_written_and_not_when_they_are_read(
    tmp_path: Path,
) -> None:
    results = tmp_path / "bench.jsonl"
    results.write_text(line("gp", 1) + line("gp", 2)[:-9], encoding="utf-8")
    assert len(finished(results)) == 1
    assert results.read_text(encoding="utf-8") == line("gp", 1) + line("gp", 2)[:-9]
    with appended(results) as file:
        file.write(line("gp", 3))
    assert results.read_text(encoding="utf-8") == line("gp", 1) + line("gp", 3)


@pytest.mark.parametrize("text", ["my own notes\n", '{"code": "new", "run": {}}\n{"cod\n', "[1, 2]\n", '{"a": 1}\n'])
def test_a_file_that_holds_something_else_is_left_as_it_is(tmp_path: Path, text: str) -> None:
    results = tmp_path / "notes.txt"
    results.write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match=r"notes\.txt:[12]: this line is no row of a benchmark"), appended(results):
        pass
    assert results.read_text(encoding="utf-8") == text


def test_notes_without_a_line_end_are_no_rows_either(tmp_path: Path) -> None:
    results = tmp_path / "notes.txt"
    results.write_text("notes, no line end", encoding="utf-8")
    with pytest.raises(SystemExit, match="no row of a benchmark"), appended(results):
        pass
    assert results.read_text(encoding="utf-8") == "notes, no line end"


def test_two_processes_do_not_write_to_one_results_file(tmp_path: Path) -> None:
    results = tmp_path / "bench.jsonl"
    with appended(results), pytest.raises(SystemExit, match="another process writes"), appended(results):
        pass
