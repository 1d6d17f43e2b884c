"""Short form of the benchmark on fitted emulators: a made-up table, campaigns of a few experiments, and the tables."""

from __future__ import annotations

import inspect
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from orchestrator.pool import LoadedSpec, Pool, load_pool, load_spec
from planners import strategy, strategy_names
from tests.benchmarks import emulators
from tests.benchmarks.emulator_models import FAMILY_OF, Emulator, FreeSpace, cross_validated_r2, may_run
from tests.benchmarks.emulator_runs import Run, campaign, first_recipes, seed_of
from tests.benchmarks.emulator_tables import Fit, paired, tables
from tests.benchmarks.emulators import ARMS, known_runs, wanted

SPEC = """\
kind: pool
name: Made-up platelets
table: {delimiter: ";"}
inputs:
  antisolvent: {column: encoding, kind: vector, length: 2}
  base: {kind: categorical}
  loading: {kind: discrete, unit: "%"}
  ratio: {}
outputs:
  peak: {unit: eV}
objective:
  GOAL
initial: {points: 3}
"""
TARGET = "target: {output: peak, values: [2.50 eV, 3.50 eV], tolerance: 0.004 eV}"
EXTREME = "minimise: {output: peak, top: 10 %, find: [50 %]}"
SOLVENTS = ((0.0, 1.0), (1.0, 0.25), (0.5, 0.5))


def made_up(folder: Path, goal: str) -> tuple[Pool, LoadedSpec]:
    """Sixty conditions of which the peak falls with the ratio and depends on the antisolvent."""
    rng = np.random.default_rng(7)
    lines = ["encoding;base;loading;ratio;peak"]
    for row in range(60):
        first, second = SOLVENTS[row % 3]
        ratio, loading = rng.random(), (1.0, 2.0, 5.0)[row % 4 % 3]
        peak = 2.3 + 0.3 * second + 0.2 * (ratio - 0.6) ** 2 + 0.01 * loading
        lines.append(f"[{first}, {second}];{'AB'[row % 2]};{loading};{ratio};{peak}")
    (folder / "table.csv").write_text("\n".join(lines), encoding="utf-8")
    (folder / "pool.yaml").write_text(SPEC.replace("GOAL", goal), encoding="utf-8")
    spec = load_spec(folder / "pool.yaml")
    return load_pool(folder / "table.csv", spec), spec


@pytest.fixture(scope="module")
def extreme(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    """Trees fitted to the made-up table, whose least peak is looked for."""
    return Emulator.of(*made_up(tmp_path_factory.mktemp("extreme"), EXTREME), "trees")


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Emulator:
    """A Gaussian process fitted to the made-up table, on which a peak is looked for."""
    return Emulator.of(*made_up(tmp_path_factory.mktemp("target"), TARGET), "gaussian process")


def test_every_strategy_of_the_registry_has_a_family() -> None:
    assert set(FAMILY_OF) == set(strategy_names())


@pytest.mark.parametrize("arm", strategy_names())
def test_a_planner_is_never_given_an_emulator_of_its_own_family(arm: str, extreme: Emulator, target: Emulator) -> None:
    own = FAMILY_OF[arm]
    for emulator in (extreme, target):
        assert may_run(arm, emulator.family) == (emulator.family != own)
        if emulator.family == own:
            with pytest.raises(ValueError, match="own family"):
                campaign(emulator, "made-up", emulator.pool.goals[0], arm, 1, budget=3)
    fits = [Fit(family, "made-up", "made-up", 60, 0.9, (("reach", 0.1),)) for family in ARMS]
    assert all(job[0] != own for job in wanted(fits, [arm], 1))


def test_an_emulator_foretells_one_output_and_is_no_judge_of_a_desirability_of_several(extreme: Emulator) -> None:
    several = replace(extreme.pool.goals[0], goal="desirability")
    with pytest.raises(ValueError, match="a desirability is of several"):
        campaign(extreme, "made-up", several, "random", 1, budget=3)


@pytest.mark.parametrize("arm", strategy_names())
def test_what_grows_trees_or_fits_a_gaussian_process_is_said_to(arm: str) -> None:
    code = inspect.getsource(type(strategy(arm)))
    if "ForestRegressor" in code or "BoostingRegressor" in code:
        assert FAMILY_OF[arm] == "trees"
    if "Gaussian process" in code:
        assert FAMILY_OF[arm] == "gaussian process"


def test_emulators_foretell_conditions_left_out_and_noise_is_a_share_of_the_spread(
    extreme: Emulator, target: Emulator
) -> None:
    assert 0.9 < cross_validated_r2(target.pool, "gaussian process") <= 1.0
    assert extreme.noise == pytest.approx(0.02 * np.std([value for value in extreme.pool.values if value is not None]))


def test_trees_foretell_an_order_and_no_model_does_where_there_is_none(extreme: Emulator) -> None:
    assert 0.8 < cross_validated_r2(extreme.pool, "trees") < 1.0
    drawn = np.random.default_rng(3).permutation(len(extreme.pool))
    shuffled = replace(extreme.pool, values=tuple(extreme.pool.values[i] for i in drawn))
    assert cross_validated_r2(shuffled, "gaussian process") < 0.5


@pytest.mark.parametrize("arm", ["random", "snobfit", "genetic"])
def test_an_antisolvent_is_one_that_exists_and_values_are_those_of_the_table(arm: str, target: Emulator) -> None:
    run, recipes = campaign(target, "made-up", target.pool.goals[1], arm, 1, budget=12)
    known = target.free.as_known(recipes)
    assert run.experiments == len(recipes) == 12
    assert {tuple(row) for row in known[:, :2]} <= set(SOLVENTS)
    assert set(known[:, 3]) <= {1.0, 2.0, 5.0}
    assert not set(known[3:, 4]) & {x[4] for x in target.pool.x}


def test_the_emulator_knows_an_antisolvent_by_its_numbers_and_the_planner_by_its_name(target: Emulator) -> None:
    free = target.free
    assert free.space.names == ("antisolvent", "base", "loading", "ratio")
    assert free.known.names == ("antisolvent[0]", "antisolvent[1]", "base", "loading", "ratio")
    recipe = free.as_known((1.0, 0.0, 2.0, 0.3))
    assert recipe.tolist() == [[0.5, 0.5, 0.0, 2.0, 0.3]]
    assert free.features((1.0, 0.0, 2.0, 0.3)).shape == (1, 6)


@pytest.mark.parametrize("arm", ["random", "gp", "ensemble"])
def test_a_seed_gives_the_same_run_every_time_and_every_arm_the_same_beginning(arm: str, extreme: Emulator) -> None:
    goal = extreme.pool.goals[0]
    run, recipes = campaign(extreme, "made-up", goal, arm, 1, budget=5)
    again, repeated = campaign(extreme, "made-up", goal, arm, 1, budget=5)
    assert replace(run, seconds=(), regrets=()) == replace(again, seconds=(), regrets=())
    assert len(run.covered) == len(run.seconds)
    assert recipes == repeated
    assert list(recipes[:3]) == first_recipes(extreme.free.space, 3, seed_of("made-up", 1))
    assert campaign(extreme, "made-up", goal, arm, 2, budget=4)[1][:3] != recipes[:3]
    assert campaign(extreme, "another", goal, arm, 1, budget=4)[1][:3] != recipes[:3]


def test_regret_is_zero_at_the_emulators_best_and_one_at_the_median_of_the_table(extreme: Emulator) -> None:
    goal = extreme.pool.goals[0]
    values = extreme.everywhere
    assert extreme.regret(goal, [values.min()])[0] == 0.0
    assert extreme.regret(goal, [np.median(extreme.conditions)])[0] == pytest.approx(1.0)
    assert extreme.regret(goal, values).min() == 0.0
    largest = replace(goal, goal="maximise")
    assert extreme.regret(largest, [values.max()])[0] == 0.0


def test_regret_falls_and_the_best_counts_as_found_within_five_per_cent(extreme: Emulator, target: Emulator) -> None:
    goal = extreme.pool.goals[0]
    run, recipes = campaign(target, "made-up", goal, "random", 3)
    regrets = target.regret(goal, target.truth(recipes))
    assert run.regrets == pytest.approx([regrets[:look].min() for look in (10, 20, 30, 40)], abs=1e-4)
    close = np.flatnonzero(regrets <= 0.05)
    assert run.reached == (int(close[0]) + 1 if len(close) else None)


def test_a_campaign_to_a_target_ends_at_the_first_recipe_that_truly_lies_there(target: Emulator) -> None:
    near, far = target.pool.goals
    run, recipes = campaign(target, "made-up", near, "sobol", 1)
    away = np.abs(target.truth(recipes) - 2.5)
    assert run.reached == run.experiments == len(recipes)
    assert away[-1] <= 0.004 < away[:-1].min()
    assert target.share(near) > 0.0 == target.share(far)


def test_tables_go_between_their_marks_and_a_second_call_runs_nothing_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pool = made_up(tmp_path, EXTREME)
    document, results = tmp_path / "document.md", tmp_path / "results.jsonl"
    document.write_text(f"before\n{emulators.BEGIN}\nold\n{emulators.END}\nafter\n", encoding="utf-8")
    called = ["emulators", "--seeds", "1", "--arms", "sobol", "--document", str(document), "--results", str(results)]
    monkeypatch.setattr(sys, "argv", called)
    monkeypatch.setattr(emulators, "POOLS", {"made-up, twice": "pool.yaml"})
    monkeypatch.setattr(emulators, "loaded", lambda table: pool)
    monkeypatch.setattr(emulators, "cross_validated_r2", lambda pool, family: 0.75)
    emulators.main()
    assert "2/2 sobol on gaussian process" in capsys.readouterr().err
    text, lines = document.read_text(encoding="utf-8"), results.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{emulators.BEGIN}\n\n```\n")
    assert text.endswith(f"{emulators.END}\nafter\n")
    assert "old" not in text
    assert text.count("| Made-up platelets (made-up, twice), minimise peak | 0.75 | sobol | 1 |") == 2
    emulators.main()
    assert capsys.readouterr().err == ""
    assert document.read_text(encoding="utf-8") == text
    assert results.read_text(encoding="utf-8") == lines


def test_runs_of_other_code_and_half_written_lines_are_not_taken(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    one = Run("trees", "made-up", "reach", "sobol", 1, 9, (0.5, 0.2, 0.1, 0.0), 40, (), ())
    lines = [
        json.dumps({"code": code, "run": asdict(run)})
        for code, run in (("old", one), ("new", replace(one, seed=2)), ("new", replace(one, table="another")))
    ]
    path.write_text("\n".join(lines) + '\n{"code": "new", "ru')
    assert list(known_runs(path, {("trees", "made-up", "sobol"): "new"}).values()) == [replace(one, seed=2)]
    assert path.read_text().endswith('"new", "ru'), "to read is not to write"


def test_tables_show_r2_beside_every_row_what_was_left_out_and_what_was_censored() -> None:
    fits = [
        Fit("trees", "a.csv", "Silver", 60, 0.91, (("minimise loss", None),)),
        Fit("trees", "b.csv", "Yields", 60, 0.31, (("maximise yield", None),)),
    ]
    regrets, covered = (0.5, 0.04, 0.02, 0.01), (True, False, True, True)
    won = Run("trees", "a.csv", "minimise loss", "ensemble", 1, 12, regrets, 40, (0.1,), covered)
    lost = replace(won, arm="sobol", reached=None, regrets=(0.5, 0.4, 0.3, 0.2))
    text = "\n".join(tables([lost, won], fits, 0.5))
    assert "b.csv (R2 0.31)" in text
    assert "| 75 % of 4 |" in text
    rows = [line for line in text.splitlines() if line.startswith("| Silver, minimise loss | 0.91 |")]
    assert len(rows) == 2
    assert "| > 40 (> 40-> 40; > 40-> 40), 0 % | 1 | 50.0 / 40.0 / 30.0 / 20.0 % | +29.0, too few pairs" in rows[0]


def test_arms_are_paired_on_table_goal_and_seed() -> None:
    mine = [Run("trees", "a.csv", "g", "sobol", seed, 20 + seed, (), 40, (), ()) for seed in range(1, 9)]
    others = {(run.table, run.goal, run.seed): replace(run, reached=10 + run.seed) for run in mine[:-1]}
    text = paired(mine, others, lambda run: float(run.reached or 41))
    assert text == "+10.0 (+10.0 to +10.0), p = 0.02 of 7"


@pytest.mark.parametrize("goal", [TARGET, EXTREME])
def test_free_space_holds_every_condition_of_the_table(goal: str, tmp_path: Path) -> None:
    pool, spec = made_up(tmp_path, goal)
    free = FreeSpace.of(pool, spec)
    rows = [
        (float(sorted(SOLVENTS).index(x[:2])), *x[2:])  # type: ignore[arg-type]
        for x in pool.x
    ]
    assert free.space.contains(rows).all()
    assert free.as_known(rows).tolist() == [list(x) for x in pool.x]
