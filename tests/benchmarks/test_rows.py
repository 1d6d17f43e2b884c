"""Rows that the repository keeps: what is kept, and what a clean clone begins with."""

from __future__ import annotations

import json
import lzma
from pathlib import Path

from tests.benchmarks.rows import begin_with_kept, keep


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
