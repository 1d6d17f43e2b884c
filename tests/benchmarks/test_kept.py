"""Results that a benchmark keeps as they come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.benchmarks.kept import Kept


@dataclass(frozen=True)
class Result:
    seed: int
    words: tuple[str, ...]


def counted(seed: int, most: int) -> Result:
    if seed > most:
        raise ValueError(f"seed {seed}")
    return Result(seed, ("one", "two")[:seed])


WANTED = [Result(2, ("one", "two")), Result(1, ("one",))]


@pytest.mark.parametrize("processes", [1, 2])
def test_what_is_kept_is_not_run_again_until_the_code_changes(tmp_path: Path, processes: int) -> None:
    path, heard = tmp_path / "runs" / "kept.jsonl", []
    jobs = [(2, 9), (1, 9)]
    found = Kept(path, "a", processes).run(counted, jobs, Result, lambda n, of, result: heard.append((n, of, result)))
    assert found == WANTED
    assert sorted(heard, key=lambda item: item[0])[-1][:2] == (2, 2)
    assert {result for _, _, result in heard} == set(WANTED)

    def never(seed: int, most: int) -> Result:
        raise AssertionError("run again")

    never.__name__ = "counted"
    assert Kept(path, "a").run(never, jobs, Result) == WANTED
    with pytest.raises(AssertionError, match="run again"):
        Kept(path, "b").run(never, jobs, Result)


def test_what_has_come_before_a_job_failed_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "kept.jsonl"
    with pytest.raises(ValueError, match="seed 2"):
        Kept(path, "a").run(counted, [(1, 1), (2, 1)], Result)
    assert Kept(path, "a").run(counted, [(1, 1)], Result) == WANTED[1:]
    assert len(path.read_text().splitlines()) == 1
