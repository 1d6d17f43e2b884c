"""`lumiflow pool`: tables of past experiments, planners replayed on them, and what is said of it."""

import ast
import dataclasses
import importlib
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from orchestrator.cli.commands import app
from orchestrator.errors import UsageRefused
from orchestrator.pool import Outcome, load_pool, load_spec, replay_pool
from orchestrator.pool.fingerprint import OBJECTIVES, fingerprint, modules_of, planner_parts
from orchestrator.pool.replay import initial_points, replay
from orchestrator.pool.results import read_results
from orchestrator.pool.summary import as_markdown, bootstrap_median, exact_random, summarise
from planners import strategy_names, strategy_settings
from tests.orchestrator.pool.couplings import SPEC, TARGET, pool_of, spec_text, write_table


def quiet(count: int, of: int, outcome: Outcome) -> None:
    assert 1 <= count <= of
    assert outcome.experiments <= outcome.budget


def ticking() -> float:
    return 0.0


def test_a_table_becomes_conditions_with_their_ranges_levels_and_means(tmp_path: Path) -> None:
    pool = pool_of(tmp_path)
    assert (len(pool), pool.rows, pool.budget, pool.initial) == (31, 32, 31, 4)
    ligand, loading, temperature = pool.variables
    assert (ligand.kind, ligand.levels) == ("categorical", ("SPhos", "XPhos", "dppf"))
    assert (loading.values, loading.scale) == ((0.5, 1.0, 5.0), "log")
    assert (temperature.lower, temperature.upper) == (40.0, 112.5)
    repeated = pool.x.index((1.0, 0.5, 40.0))
    single = 0.4 - 0.1 * math.log(0.1) ** 2 - 0.25
    assert pool.values[repeated] == pytest.approx((round(single, 4) + 0.1) / 2)
    assert [pool.x[i][2] for i, value in enumerate(pool.values) if value is None] == [41.0]


def test_the_best_share_of_the_conditions_is_to_be_found_in_steps(tmp_path: Path) -> None:
    (goal,) = pool_of(tmp_path).goals
    assert [hits for _, hits in goal.steps] == [2, 4]
    assert goal.steps[0][0] == "50 % of the best 4"
    values = pool_of(tmp_path).values
    worst_hit = min(value for i, value in enumerate(values) if i in goal.hits and value is not None)
    assert sum(value is not None and value > worst_hit for value in values) == 3


def test_of_equally_good_conditions_any_will_do_wherever_they_stand(tmp_path: Path) -> None:
    tied = ("A;dppf;1;120;569;0.9;", "A;dppf;1;121;569;0.9;", "A;SPhos;1;122;569;0.9;")
    (goal,) = pool_of(tmp_path, SPEC.replace("top: 10 %", "top: 5 %"), *tied).goals
    assert goal.steps == (("50 % of the best 2", 1), ("100 % of the best 2", 2))
    assert sorted(goal.hits) == [31, 32, 33]
    (other,) = pool_of(tmp_path, SPEC.replace("top: 10 %", "top: 5 %"), *reversed(tied)).goals
    assert other.hits == goal.hits


def test_where_nothing_differs_all_conditions_are_among_the_best(tmp_path: Path) -> None:
    text = SPEC.replace("yield: {}", "yield: {transform: 0 * x + 5}")
    pool = pool_of(tmp_path, text)
    (goal,) = pool.goals
    assert len(goal.hits) == len(pool) - 1
    assert exact_random(pool, goal, 4) == 4


def test_the_best_are_no_more_than_what_gave_a_reading(tmp_path: Path) -> None:
    few = "failed_when:\n  - {column: remark, equals: clogged}\n  - {column: T (degC), above: 47}\n"
    text = SPEC.replace("failed_when:\n  - {column: remark, equals: clogged}\n", few).replace("top: 10 %", "top: 50 %")
    (goal,) = pool_of(tmp_path, text).goals
    assert goal.steps == (("50 % of the best 3", 2), ("100 % of the best 3", 3))


def test_results_stay_good_when_only_the_wording_of_pool_file_and_table_has_changed(tmp_path: Path) -> None:
    pool = pool_of(tmp_path)
    again = pool_of(tmp_path, "# The same again\n" + SPEC.replace("Made-up", "Invented"))
    assert (again.name, again.digest) == ("Invented couplings", pool.digest)
    assert pool_of(tmp_path, SPEC.replace("points: 4", "points: 5")).digest != pool.digest
    assert pool_of(tmp_path, SPEC.replace("top: 10 %", "top: 20 %")).digest != pool.digest


def test_targets_are_goals_of_their_own_in_transformed_units(tmp_path: Path) -> None:
    near, far = pool_of(tmp_path, spec_text(objective=TARGET)).goals
    assert (near.label, near.target, near.tolerance, near.reachable) == ("2.20 eV", 2.2, 0.004, True)
    assert (far.label, far.reachable) == ("2.90 eV", False)


def test_a_reading_at_the_edge_of_the_tolerance_is_a_hit_whatever_rounding_makes_of_it(tmp_path: Path) -> None:
    wanted = "objective:\n  target: {output: yield, values: [50], tolerance: 0.1}\n"
    edges = [f"A;dppf;1;{t};569;{y};" for t, y in ((120, 49.9), (121, 50.1), (122, 49.89), (123, 50.11))]
    pool = pool_of(tmp_path, spec_text(objective=wanted), *edges)
    assert [pool.values[i] for i in sorted(pool.goals[0].hits)] == [49.9, 50.1]


def test_a_column_of_vectors_becomes_one_variable_for_each_number(tmp_path: Path) -> None:
    spec, data = tmp_path / "s.yaml", tmp_path / "d.csv"
    spec.write_text(
        "kind: pool\nname: v\ninputs: {code: {kind: vector, length: 2}}\noutputs: {y: {}}\n"
        "objective: {minimise: {output: y}}\ninitial: {points: 1}\n"
    )
    data.write_text('code,y\n"[0.5, 1.0]",1\n"[0.25, 1.0]",2\n')
    pool = load_pool(data, load_spec(spec))
    assert [v.name for v in pool.variables] == ["code[0]", "code[1]"]
    assert pool.x == ((0.5, 1.0), (0.25, 1.0))
    outcome = replay(pool, "ensemble", pool.goals[0], 1, clock=ticking)
    assert outcome.reached[-1] in (1, 2)


def test_a_table_without_a_line_of_names_is_given_them(tmp_path: Path) -> None:
    spec, data = tmp_path / "s.yaml", tmp_path / "d.csv"
    spec.write_text(
        "kind: pool\nname: v\ntable: {columns: [a, y], skip: 1}\ninputs: {a: {kind: integer}}\noutputs: {y: {}}\n"
        "objective: {minimise: {output: y}}\nreplicates: median\ninitial: {points: 1}\n"
    )
    data.write_text("units,here\n1,1\n2,2\n2,9\n2,3\n")
    assert load_pool(data, load_spec(spec)).values == (1.0, 3.0)


@pytest.mark.parametrize("arm", ["random", "sobol", "forest", "gp_scalar", "gp", "ensemble"])
def test_every_arm_finds_all_of_the_best_within_the_table_and_starts_alike(tmp_path: Path, arm: str) -> None:
    pool = pool_of(tmp_path, spec_text(**{"initial: {points: 4}": "initial: {points: 8}\nbudget: 10"}))
    (goal,) = pool.goals
    outcome = replay(pool, arm, goal, 3, clock=ticking)
    assert outcome.experiments <= 10
    early = [count for count in outcome.reached if count is not None]
    assert early == sorted(early)
    hits = sum(i in goal.hits for i in initial_points(pool, 3))
    assert (hits >= 2) == (outcome.reached[0] is not None and outcome.reached[0] <= 8)


def test_the_same_seed_replays_the_same_campaign(tmp_path: Path) -> None:
    pool = pool_of(tmp_path, spec_text(**{"seeds: 2": "budget: 7"}))
    first, again, other = (replay(pool, "ensemble", pool.goals[0], seed, clock=ticking) for seed in (1, 1, 2))
    assert first == again
    assert dataclasses.replace(other, seed=1) != first


def test_a_target_that_nothing_reaches_is_declared_so_and_a_reachable_one_is_found(tmp_path: Path) -> None:
    pool = pool_of(tmp_path, spec_text(objective=TARGET))
    near, far = pool.goals
    found = replay(pool, "ensemble", near, 1, clock=ticking)
    assert found.reached[0] is not None
    declared = replay(pool, "ensemble", far, 1, clock=ticking)
    assert declared.declared is not None
    assert declared.declared == declared.experiments < len(pool)
    assert "no 90 % interval of the" in declared.evidence
    assert replay(pool, "gp_scalar", far, 1, clock=ticking).declared is None


def test_a_benchmark_goes_on_where_it_was_interrupted(pool_files: tuple[Path, Path], tmp_path: Path) -> None:
    data, spec = pool_files
    whole, torn = tmp_path / "whole.jsonl", tmp_path / "torn.jsonl"
    arms = ("random", "sobol")
    complete = replay_pool(data, spec, arms=arms, seeds=3, results=whole, heard=quiet)
    lines = whole.read_text().splitlines(keepends=True)
    torn.write_text("".join(lines[:3]) + lines[3][:20])
    heard: list[int] = []
    resumed = replay_pool(data, spec, arms=arms, seeds=3, results=torn, heard=lambda n, of, o: heard.append(of))
    assert heard == [3, 3, 3]
    assert [o.reached for o in resumed.outcomes] == [o.reached for o in complete.outcomes]
    assert len(read_results(torn)) == 6
    nothing: list[int] = []
    replay_pool(data, spec, arms=arms, seeds=3, results=torn, heard=lambda n, of, o: nothing.append(n))
    assert nothing == []


def test_results_of_another_table_are_not_taken_for_this_one(pool_files: tuple[Path, Path], tmp_path: Path) -> None:
    data, spec = pool_files
    results = tmp_path / "r.jsonl"
    replay_pool(data, spec, arms=("random",), seeds=1, results=results, heard=quiet)
    write_table(data, "A;dppf;5;50;580;0.3;")
    heard: list[int] = []
    replay_pool(data, spec, arms=("random",), seeds=1, results=results, heard=lambda n, of, o: heard.append(n))
    assert heard == [1]


def test_results_of_another_planner_are_not_taken_for_this_one(pool_files: tuple[Path, Path], tmp_path: Path) -> None:
    results = tmp_path / "r.jsonl"
    replay_pool(*pool_files, arms=("random",), seeds=1, results=results, heard=quiet)
    (outcome,) = read_results(results)
    results.write_text(results.read_text().replace(outcome.planners, "0123456789ab"))
    heard: list[int] = []
    replay_pool(*pool_files, arms=("random",), seeds=1, results=results, heard=lambda n, of, o: heard.append(n))
    assert heard == [1]
    assert len({o.planners for o in read_results(results)}) == 2


def test_what_there_is_can_be_summed_up_without_replaying_the_rest(
    pool_files: tuple[Path, Path], tmp_path: Path
) -> None:
    results = tmp_path / "r.jsonl"
    replay_pool(*pool_files, arms=("random",), seeds=2, results=results, heard=quiet)
    found = replay_pool(*pool_files, arms=("random", "sobol"), seeds=5, results=results, heard=quiet, known_only=True)
    assert [(row.arm, row.runs) for row in found.rows] == [("random", 2)] * len(found.rows)


def test_every_arm_has_a_fingerprint_of_its_own_that_stays() -> None:
    found = {arm: fingerprint(arm) for arm in strategy_names() if strategy_settings(arm)}
    assert len(set(found.values())) == len(found)
    fingerprint.cache_clear()
    assert {arm: fingerprint(arm) for arm in found} == found


def test_an_arm_is_made_of_what_its_own_module_imports() -> None:
    assert {"ensemble", "surrogate", "scales", "modelled", "space"} <= set(modules_of("planners.ensemble"))
    assert not {"surrogate", "scales", "ensemble", "forest"} & set(modules_of("planners.gp"))


@pytest.mark.parametrize("module", ["planners.one_output", "planners.several", "planners.desirability"])
def test_what_an_arm_is_asked_for_belongs_to_its_fingerprint(module: str) -> None:
    source = Path(importlib.import_module(module).__file__ or "").read_text(encoding="utf-8")
    assert any(part.endswith(ast.dump(ast.parse(source))) for part in planner_parts("random", *OBJECTIVES))


def test_a_file_that_holds_no_results_is_refused_by_its_line(pool_files: tuple[Path, Path], tmp_path: Path) -> None:
    results = tmp_path / "r.jsonl"
    results.write_text('{"arm": 1}\n')
    with pytest.raises(UsageRefused, match=r"r\.jsonl:1: not a line"):
        replay_pool(*pool_files, arms=("random",), seeds=1, results=results, heard=quiet)


def outcomes(reached: Sequence[int | None], *, arm: str = "gp", declared: int | None = None) -> list[Outcome]:
    return [
        Outcome("d", "p", arm, "maximise yield", seed, (each, None), declared, "", 31, 31, (0.1, 0.3))
        for seed, each in enumerate(reached)
    ]


def test_a_summary_counts_censored_runs_as_longer_than_the_budget(tmp_path: Path) -> None:
    pool = pool_of(tmp_path)
    rows = summarise(pool, outcomes([5, 7, 9, None, None]), ["gp"])
    assert [(row.median, row.solved, row.censored) for row in rows] == [(9.0, 3, 2), (math.inf, 0, 5)]
    assert rows[0].high == math.inf
    assert rows[1].as_dict()["median_experiments"] is None
    text = as_markdown(pool, rows)
    assert "| 9 (5-> 31) | 60 % | 2 | - | 0.30 / 0.30 |" in text
    assert "| > 31 (> 31-> 31) | 0 % | 5 |" in text


def test_a_verdict_on_what_was_there_to_be_found_is_called_false(tmp_path: Path) -> None:
    pool = pool_of(tmp_path)
    (row, _) = summarise(pool, outcomes([20, 22], declared=11), ["gp"])
    assert row.false_declared == 2
    assert "falsely in 2" in as_markdown(pool, [row])


def test_random_choice_has_its_exact_median(tmp_path: Path) -> None:
    pool = pool_of(tmp_path)
    (goal,) = pool.goals
    one = dataclasses.replace(goal, hits=frozenset({3}))
    assert exact_random(pool, one, 1) == 16  # of 31, where one is wanted
    every = dataclasses.replace(goal, hits=frozenset(range(31)))
    assert exact_random(pool, every, 31) == 31
    drawn = sorted(replay(pool, "random", goal, seed, clock=ticking).reached[1] or 99 for seed in range(60))
    assert abs(drawn[30] - (exact_random(pool, goal, 4) or 0)) <= 2


def test_random_choice_has_the_median_that_counting_every_way_gives(tmp_path: Path) -> None:
    pool = pool_of(tmp_path)
    size, (goal,) = len(pool), pool.goals
    for good in (1, 2, 3, 8, 15, 30, 31):
        marked = dataclasses.replace(goal, hits=frozenset(range(good)))
        for hits in range(1, good + 1):
            fewer = [
                sum(math.comb(good, k) * math.comb(size - good, drawn - k) for k in range(min(hits, drawn + 1)))
                for drawn in range(size + 1)
            ]
            expected = next(n for n, ways in enumerate(fewer) if 2 * ways <= math.comb(size, n))
            assert exact_random(pool, marked, hits) == expected


def test_the_median_of_random_choice_among_thousands_takes_no_time(tmp_path: Path) -> None:
    pool = pool_of(tmp_path)
    many = dataclasses.replace(pool, x=tuple((float(i),) for i in range(2500)))
    goal = dataclasses.replace(pool.goals[0], hits=frozenset(range(125)))
    began_s = time.process_time()
    assert [exact_random(many, goal, hits) for hits in (62, 125)] == [1231, 2487]
    assert time.process_time() - began_s < 1.0


def test_the_interval_of_a_median_holds_it_and_narrows_with_more_runs() -> None:
    few, many = bootstrap_median([3.0, 6.0, 9.0, 18.0, 27.0]), bootstrap_median([8.0, 9.0, 10.0] * 20)
    for median, low, high in (few, many):
        assert low <= median <= high
    assert many[2] - many[1] < few[2] - few[1]


def test_few_runs_have_a_median_and_no_interval(tmp_path: Path) -> None:
    pool = pool_of(tmp_path)
    for counts, shown in (([12], "| 12 (-) | 100 % |"), ([3, 5, 7, 9], "| 6 (-) |"), ([3, 5, 7, 9, 9], "| 7 (3-9) |")):
        (row, _) = summarise(pool, outcomes(counts), ["gp"])
        assert shown in as_markdown(pool, [row])
        assert (row.as_dict()["low"] is None) == (len(counts) < 5)


def test_the_command_prints_a_table_one_line_of_json_and_a_figure(
    pool_files: tuple[Path, Path], tmp_path: Path
) -> None:
    data, spec = pool_files
    common = ["pool", str(data), "--spec", str(spec), "--seeds", "2", "--arms", "random, sobol"]
    common += ["--results", str(tmp_path / "r.jsonl")]
    figure, page = tmp_path / "f.svg", tmp_path / "f.html"
    shown = CliRunner().invoke(app, [*common, "--out", str(figure)])
    assert shown.exit_code == 0, shown.output
    assert (
        "Made-up couplings: 31 conditions from 32 rows (the filter left out 1 more), 1 of them failed" in shown.stdout
    )
    assert "| 100 % of the best 4 | sobol | 2 |" in shown.stdout
    drawing = ET.fromstring(figure.read_text())
    words = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert {"random", "sobol", "50 % of the best 4"} <= set(words)
    answered = CliRunner().invoke(app, [*common, "--json", "--out", str(page)])
    answer = json.loads(answered.stdout)
    assert answer["conditions"] == 31
    assert len(answer["rows"]) == 4
    assert answer["conditions_failed"] == 1
    assert [row["random_exact_median"] for row in answer["rows"]] == [12, 12, 27, 27]
    assert "50 % of the best 4 12; 100 % of the best 4 27" in shown.stdout
    assert [answer["rows"][0][end] for end in ("low", "high")] == [None, None]
    assert "<table>" in page.read_text()


def test_two_processes_find_what_one_does(pool_files: tuple[Path, Path], tmp_path: Path) -> None:
    one, two = (
        replay_pool(*pool_files, arms=("sobol",), seeds=2, jobs=jobs, results=tmp_path / f"{jobs}.jsonl", heard=quiet)
        for jobs in (1, 2)
    )
    assert [o.reached for o in one.outcomes] == [o.reached for o in two.outcomes]
