"""`lumiflow pool` where several outputs count: what conditions are worth together, and planners told all of it."""

import math
from pathlib import Path

import pytest

from orchestrator.errors import ConfigError
from orchestrator.pool import load_pool, load_spec
from orchestrator.pool.replay import objective, replay
from planners import strategy_names
from tests.orchestrator.pool.couplings import spec_text, write_table

WANTED = """\
objective:
  desirability:
    outputs:
      peak: {target: 2.20 eV, none_beyond: 0.10 eV, weight: 2}
      yield: {full_at: 0.8, none_at: 0.2}
    top: 10 %
    find: [50 %, 100 %]
"""


def spec(folder: Path, text: str = WANTED) -> Path:
    path = folder / "spec.yaml"
    path.write_text(spec_text(objective=text), encoding="utf-8")
    return path


def worth(peak_ev: float, bright: float) -> float:
    near, much = 1.0 - abs(peak_ev - 2.2) / 0.1, min((bright - 0.2) / 0.6, 1.0)
    if near > 0.0 and much > 0.0:
        return float((near**2 * much) ** (1.0 / 3.0))
    return (2.0 * min(near, 0.0) + min(much, 0.0)) / 3.0


def test_conditions_are_worth_the_weighted_mean_of_what_each_output_is(tmp_path: Path) -> None:
    pool = load_pool(write_table(tmp_path / "table.csv"), load_spec(spec(tmp_path)))
    (goal,) = pool.goals
    assert goal.label == "desirability of peak, yield"
    read = [(each, value) for each, value in zip(pool.readings, pool.values, strict=True) if each is not None]
    assert len(read) == len(pool) - 1
    for (peak_ev, bright), value in read:
        assert value == pytest.approx(worth(peak_ev, bright))
    ranked = sorted((value for _, value in read if value is not None), reverse=True)
    assert sorted((pool.values[i] or 0.0 for i in goal.hits), reverse=True) == ranked[: len(goal.hits)]
    assert goal.steps == (("50 % of the best 4", 2), ("100 % of the best 4", 4))
    assert objective(goal).outputs == ("peak", "yield")


def test_what_is_worth_nothing_is_not_among_the_best(tmp_path: Path) -> None:
    narrow = WANTED.replace("none_beyond: 0.10 eV", "none_beyond: 0.03 eV")
    pool = load_pool(write_table(tmp_path / "table.csv"), load_spec(spec(tmp_path, narrow)))
    (goal,) = pool.goals
    assert [i for i, value in enumerate(pool.values) if value is not None and value > 0.0] == list(goal.hits)
    assert goal.steps == (("100 % of the best 1", 1),)  # half of one is one
    nothing = load_spec(spec(tmp_path, narrow.replace("0.03", "0.01")))
    with pytest.raises(ConfigError, match="no condition of the table is worth anything"):
        load_pool(tmp_path / "table.csv", nothing)


def test_a_blank_cell_beside_the_first_output_lacks_all_of_it_and_is_told_as_absent(tmp_path: Path) -> None:
    table = write_table(tmp_path / "table.csv", "A;dppf;1;200;563.64;;")
    pool = load_pool(table, load_spec(spec(tmp_path)))
    peak_ev, bright = pool.readings[-1] or (0.0, 0.0)
    assert peak_ev == pytest.approx(2.2, abs=1e-4)
    assert math.isnan(bright)
    assert pool.values[-1] == pytest.approx(-1.0 / 3.0)
    with pytest.raises(ConfigError, match="no reading here"):
        load_pool(write_table(tmp_path / "table.csv", "A;dppf;1;200;;0.5;"), load_spec(spec(tmp_path)))


def test_replicates_of_which_one_is_blank_are_what_was_read(tmp_path: Path) -> None:
    table = write_table(tmp_path / "table.csv", "A;dppf;1;200;560;;", "A;dppf;1;200;570;0.6;")
    pool = load_pool(table, load_spec(spec(tmp_path)))
    assert pool.readings[-1] == pytest.approx(((1240 / 560 + 1240 / 570) / 2, 0.6))


@pytest.mark.parametrize("arm", ["ensemble", "gp", "gp_scalar", "forest", "snobfit", "genetic", "random"])
def test_every_kind_of_planner_can_be_replayed_on_it(tmp_path: Path, arm: str) -> None:
    assert arm in strategy_names()
    table = write_table(tmp_path / "table.csv", "A;dppf;1;200;563.64;;")
    pool = load_pool(table, load_spec(spec(tmp_path)))
    outcome = replay(pool, arm, pool.goals[0], 1, clock=lambda: 0.0)
    assert outcome.reached[0] is not None
    assert outcome.reached[-1] == outcome.experiments <= len(pool)
    assert outcome.declared is None


def test_the_ensemble_finds_the_most_desirable_conditions_sooner_than_chance(tmp_path: Path) -> None:
    pool = load_pool(write_table(tmp_path / "table.csv"), load_spec(spec(tmp_path)))
    (goal,) = pool.goals

    def needed(arm: str, seeds: int) -> tuple[float, float]:
        found = [replay(pool, arm, goal, seed, clock=lambda: 0.0).reached for seed in range(1, seeds + 1)]
        half, whole = zip(*([count or pool.budget for count in counts] for counts in found), strict=True)
        return sum(half) / seeds, sum(whole) / seeds

    half, whole = needed("ensemble", 6)
    half_by_chance, whole_by_chance = needed("random", 40)
    assert half < 0.75 * half_by_chance
    assert whole < 0.6 * whole_by_chance


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("none_beyond: 0.10 eV", "none_beyond: 0.10 nm", "a number in eV is wanted here"),
        ("none_beyond: 0.10 eV", "none_beyond: 0 eV", "allowed: above zero"),
        (", none_beyond: 0.10 eV", "", "allowed: target with none_beyond, or full_at with none_at"),
        ("full_at: 0.8", "full_at: 0.2", "the same as full_at"),
        ("full_at: 0.8", "full_at: 80 %", "a bare number is wanted here"),
        ("      yield:", "      yeild:", "did you mean yield?"),
        ("weight: 2", "weight: 0", "weight"),
        ("      yield: {full_at: 0.8, none_at: 0.2}\n", "", "outputs"),
        ("  desirability:", "  maximise: {output: yield}\n  desirability:", "exactly one goal must stand here"),
    ],
)
def test_what_is_wrong_with_it_is_said_at_its_place(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in WANTED
    with pytest.raises(ConfigError) as caught:
        load_spec(spec(tmp_path, WANTED.replace(old, new)))
    (problem,) = caught.value.problems
    assert words in problem.summary()
    assert problem.line > 0
