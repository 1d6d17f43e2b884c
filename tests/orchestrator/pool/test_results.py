"""The results file of `lumiflow pool`: what is taken for one, and that nothing else is ever changed."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli.commands import app
from orchestrator.errors import LumiflowError, UsageRefused
from orchestrator.pool import Outcome, Pool, PoolResult, replay_pool, running
from orchestrator.pool.conditions import PoolGoal
from orchestrator.pool.replay import replay
from orchestrator.pool.results import read_results
from planners import PlannerError


def quiet(count: int, of: int, outcome: Outcome) -> None:
    pass


def replayed(pool_files: tuple[Path, Path], results: Path, *, fresh: bool = False) -> PoolResult:
    return replay_pool(*pool_files, arms=("random",), seeds=2, results=results, fresh=fresh, heard=quiet)


@pytest.mark.parametrize(
    "text",
    [
        '{"my": "precious"}',
        '{"my": "precious"}\n',
        "\n",
        "x,y\n1,2\n3,4",
        "x,y",
        '[{"digest": 1}]',
        "[" * 10_000 + "\n",
        '{"digest": 1}\nnotes',
    ],
)
def test_a_file_that_holds_something_else_is_refused_and_stays_as_it_is(
    pool_files: tuple[Path, Path], tmp_path: Path, text: str
) -> None:
    results = tmp_path / "r.jsonl"
    results.write_text(text)
    with pytest.raises(UsageRefused, match=r"r\.jsonl:\d: not a line of a results file"):
        replayed(pool_files, results)
    assert results.read_text() == text


def test_beginning_anew_overwrites_results_of_any_kind_and_nothing_else(
    pool_files: tuple[Path, Path], tmp_path: Path
) -> None:
    table, _ = pool_files
    before = table.read_bytes()
    with pytest.raises(UsageRefused, match="no results file, so --fresh does not overwrite it"):
        replayed(pool_files, table, fresh=True)
    assert table.read_bytes() == before
    results = tmp_path / "r.jsonl"
    results.write_text('{"digest": "of another release"}\n')
    with pytest.raises(UsageRefused, match="--fresh begins anew"):
        replayed(pool_files, results)
    replayed(pool_files, results, fresh=True)
    assert len(read_results(results)) == 2


def test_what_follows_the_results_of_a_good_file_is_not_cut_off_unless_it_is_half_of_one(
    pool_files: tuple[Path, Path], tmp_path: Path
) -> None:
    results = tmp_path / "r.jsonl"
    replayed(pool_files, results)
    whole = results.read_text()
    results.write_text(whole + "notes")
    with pytest.raises(UsageRefused, match=r"r\.jsonl:3: "):
        replayed(pool_files, results)
    assert results.read_text() == whole + "notes"
    results.write_text(whole + whole[:30])
    assert len(read_results(results)) == 2
    assert results.read_text() == whole + whole[:30]
    replayed(pool_files, results)
    assert results.read_text() == whole


@pytest.mark.parametrize("options", [[], ["--fresh"]])
@pytest.mark.parametrize(("place", "says"), [("", "a folder"), ("table.csv/r.jsonl", "cannot be written")])
def test_a_place_where_no_file_can_be_is_refused_with_exit_code_two(
    pool_files: tuple[Path, Path], options: list[str], place: str, says: str
) -> None:
    data, spec = pool_files
    words = ["pool", str(data), "--spec", str(spec), "--results", str(data.parent / place), *options]
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, done.exception and type(done.exception)) == (2, SystemExit)
    assert says in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_disk_that_is_full_ends_the_benchmark_in_words(pool_files: tuple[Path, Path]) -> None:
    with pytest.raises(LumiflowError, match="/dev/full: cannot be written any more: No space left"):
        replayed(pool_files, Path("/dev/full"))


@pytest.mark.skipif(sys.platform == "win32", reason="/dev/null")
def test_results_may_go_nowhere(pool_files: tuple[Path, Path]) -> None:
    assert len(replayed(pool_files, Path("/dev/null")).outcomes) == 2


def test_an_optimiser_that_is_not_installed_is_refused_before_the_first_replay(
    pool_files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ax" else find_spec(name))
    (data, spec), results = pool_files, tmp_path / "r.jsonl"
    words = ["pool", str(data), "--spec", str(spec), "--arms", "random,ax", "--results", str(results), "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert "pip install 'lumiflow[ax]'" in json.loads(done.stdout)["error"]["message"]
    assert not results.exists()


def test_a_campaign_that_a_planner_cannot_plan_is_refused_in_words_and_what_was_replayed_is_kept(
    pool_files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(pool: Pool, arm: str, goal: PoolGoal, seed: int, *, clock: Callable[[], float]) -> Outcome:
        if seed == 2:
            raise PlannerError("finds no further recipe")
        return replay(pool, arm, goal, seed, clock=clock)

    monkeypatch.setattr(running, "replay", refusing)
    with pytest.raises(UsageRefused, match="random, maximise yield, seed 2: finds no further recipe"):
        replayed(pool_files, tmp_path / "r.jsonl")
    assert [outcome.seed for outcome in read_results(tmp_path / "r.jsonl")] == [1]
