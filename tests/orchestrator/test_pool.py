"""`lumiflow pool`: tables of past experiments, planners replayed on them, and what is said of it."""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.errors import ConfigError, UsageRefused
from orchestrator.pool import Outcome, Pool, load_pool, load_spec, replay_pool
from orchestrator.pool.fingerprint import fingerprint, modules_of
from orchestrator.pool.formula import FormulaError, parse_formula
from orchestrator.pool.replay import initial_points, replay
from orchestrator.pool.running import read_results
from orchestrator.pool.summary import as_markdown, bootstrap_median, exact_random, summarise
from planners import strategy_names, strategy_settings

SPEC = """\
kind: pool
name: Made-up couplings
table: {delimiter: ";"}
filter:
  - {column: batch, one_of: [A, B]}
failed_when:
  - {column: remark, equals: clogged}
inputs:
  ligand: {kind: categorical}
  loading: {kind: discrete, scale: log, unit: "%"}
  temperature: {column: "T (degC)", unit: degC}
outputs:
  peak: {column: "peak (nm)", transform: 1240/x, unit: eV, absent: [0]}
  yield: {}
objective:
  maximise: {output: yield, top: 10 %, find: [50 %, 100 %]}
initial: {points: 4}
seeds: 2
arms: [random, ensemble]
"""
TARGET = "objective:\n  target: {output: peak, values: [2.20 eV, 2.90 eV], tolerance: 0.004 eV}\n"


def spec_text(**replaced: str) -> str:
    """The pool file with whole top-level lines replaced."""
    text = SPEC
    if "objective" in replaced:
        before, after = text.split("objective:\n")
        text = before + replaced.pop("objective") + after.split("\n", 1)[1]
    for old, new in replaced.items():
        text = text.replace(old, new)
    return text


def write_table(path: Path, *extra: str) -> Path:
    """Thirty conditions of which a few were repeated, one clogged, and one belongs to another batch."""
    lines = ["batch;ligand;loading;T (degC);peak (nm);yield;remark"]
    for i in range(30):
        ligand, loading, celsius = ("XPhos", "SPhos", "dppf")[i % 3], (0.5, 1.0, 5.0)[i // 3 % 3], 40 + 2.5 * i
        bright = (0.9 if i % 3 == 1 else 0.4) - 0.1 * math.log(loading / 5) ** 2 - ((celsius - 90) / 100) ** 2
        lines.append(f"{'AB'[i % 2]};{ligand};{loading};{celsius};{600 - 2 * celsius / 2.5};{bright:.4f};")
    lines += ["A;XPhos;0.5;40;569;0.1;", "B;XPhos;5;41;570;0;clogged", "C;other;9;999;x;y;", *extra]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC, encoding="utf-8")
    return write_table(tmp_path / "table.csv"), spec


def pool_of(folder: Path, text: str = SPEC, *extra: str) -> Pool:
    spec = folder / "spec.yaml"
    spec.write_text(text, encoding="utf-8")
    return load_pool(write_table(folder / "table.csv", *extra), load_spec(spec))


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


def test_targets_are_goals_of_their_own_in_transformed_units(tmp_path: Path) -> None:
    near, far = pool_of(tmp_path, spec_text(objective=TARGET)).goals
    assert (near.label, near.target, near.tolerance, near.reachable) == ("2.20 eV", 2.2, 0.004, True)
    assert (far.label, far.reachable) == ("2.90 eV", False)


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


def test_a_benchmark_goes_on_where_it_was_interrupted(files: tuple[Path, Path], tmp_path: Path) -> None:
    data, spec = files
    whole, torn = tmp_path / "whole.jsonl", tmp_path / "torn.jsonl"
    arms = ("random", "sobol")
    complete = replay_pool(data, spec, arms=arms, seeds=3, results=whole, heard=quiet)
    lines = whole.read_text().splitlines(keepends=True)
    torn.write_text("".join(lines[:3]) + lines[3][:20])
    heard: list[int] = []
    resumed = replay_pool(data, spec, arms=arms, seeds=3, results=torn, heard=lambda n, of, o: heard.append(of))
    assert heard == [3, 3, 3]
    assert [o.reached for o in resumed.outcomes] == [o.reached for o in complete.outcomes]
    assert len(list(read_results(torn))) == 6
    nothing: list[int] = []
    replay_pool(data, spec, arms=arms, seeds=3, results=torn, heard=lambda n, of, o: nothing.append(n))
    assert nothing == []


def test_results_of_another_table_are_not_taken_for_this_one(files: tuple[Path, Path], tmp_path: Path) -> None:
    data, spec = files
    results = tmp_path / "r.jsonl"
    replay_pool(data, spec, arms=("random",), seeds=1, results=results, heard=quiet)
    write_table(data, "A;dppf;5;50;580;0.3;")
    heard: list[int] = []
    replay_pool(data, spec, arms=("random",), seeds=1, results=results, heard=lambda n, of, o: heard.append(n))
    assert heard == [1]


def test_results_of_another_planner_are_not_taken_for_this_one(files: tuple[Path, Path], tmp_path: Path) -> None:
    results = tmp_path / "r.jsonl"
    replay_pool(*files, arms=("random",), seeds=1, results=results, heard=quiet)
    (outcome,) = read_results(results)
    results.write_text(results.read_text().replace(outcome.planners, "0123456789ab"))
    heard: list[int] = []
    replay_pool(*files, arms=("random",), seeds=1, results=results, heard=lambda n, of, o: heard.append(n))
    assert heard == [1]
    assert len({o.planners for o in read_results(results)}) == 2


def test_what_there_is_can_be_summed_up_without_replaying_the_rest(files: tuple[Path, Path], tmp_path: Path) -> None:
    results = tmp_path / "r.jsonl"
    replay_pool(*files, arms=("random",), seeds=2, results=results, heard=quiet)
    found = replay_pool(*files, arms=("random", "sobol"), seeds=5, results=results, heard=quiet, known_only=True)
    assert [(row.arm, row.runs) for row in found.rows] == [("random", 2)] * len(found.rows)


def test_every_arm_has_a_fingerprint_of_its_own_that_stays() -> None:
    found = {arm: fingerprint(arm) for arm in strategy_names() if strategy_settings(arm)}
    assert len(set(found.values())) == len(found)
    fingerprint.cache_clear()
    assert {arm: fingerprint(arm) for arm in found} == found


def test_an_arm_is_made_of_what_its_own_module_imports() -> None:
    assert {"ensemble", "surrogate", "scales", "modelled", "space"} <= set(modules_of("planners.ensemble"))
    assert not {"surrogate", "scales", "ensemble", "forest"} & set(modules_of("planners.gp"))


def test_a_file_that_holds_no_results_is_refused_by_its_line(files: tuple[Path, Path], tmp_path: Path) -> None:
    results = tmp_path / "r.jsonl"
    results.write_text('{"arm": 1}\n')
    with pytest.raises(UsageRefused, match=r"r\.jsonl:1: not a line"):
        replay_pool(*files, arms=("random",), seeds=1, results=results, heard=quiet)


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


def test_the_interval_of_a_median_holds_it_and_narrows_with_more_runs() -> None:
    few, many = bootstrap_median([3.0, 9.0, 27.0]), bootstrap_median([8.0, 9.0, 10.0] * 20)
    for median, low, high in (few, many):
        assert low <= median <= high
    assert many[2] - many[1] < few[2] - few[1]


def test_the_command_prints_a_table_one_line_of_json_and_a_figure(files: tuple[Path, Path], tmp_path: Path) -> None:
    data, spec = files
    common = ["pool", str(data), "--spec", str(spec), "--seeds", "2", "--arms", "random, sobol"]
    common += ["--results", str(tmp_path / "r.jsonl")]
    figure, page = tmp_path / "f.svg", tmp_path / "f.html"
    shown = CliRunner().invoke(app, [*common, "--out", str(figure)])
    assert shown.exit_code == 0, shown.output
    assert "Made-up couplings: 31 conditions from 32 rows, 1 of them failed" in shown.stdout
    assert "| 100 % of the best 4 | sobol | 2 |" in shown.stdout
    drawing = ET.fromstring(figure.read_text())
    words = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert {"random", "sobol", "50 % of the best 4"} <= set(words)
    answered = CliRunner().invoke(app, [*common, "--json", "--out", str(page)])
    answer = json.loads(answered.stdout)
    assert answer["conditions"] == 31
    assert len(answer["rows"]) == 4
    assert "<table>" in page.read_text()


def test_two_processes_find_what_one_does(files: tuple[Path, Path], tmp_path: Path) -> None:
    one, two = (
        replay_pool(*files, arms=("sobol",), seeds=2, jobs=jobs, results=tmp_path / f"{jobs}.jsonl", heard=quiet)
        for jobs in (1, 2)
    )
    assert [o.reached for o in one.outcomes] == [o.reached for o in two.outcomes]


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        ("kind: pool", "kind: pond", "1:7", "choices"),
        ("name: Made-up couplings", "nam: x", "2:1", "unknown key"),
        ("delimiter:", "delimeter:", "3:9", "did you mean delimiter"),
        ("one_of: [A, B]", "below: 3, above: 1", "5:5", "exactly one test"),
        ("kind: categorical", "kind: category", "9:18", "did you mean categorical"),
        ("kind: categorical", "kind: categorical, scale: log", "9:38", "no scale"),
        ("kind: discrete", "kind: vector", "10:3", "needs a length"),
        ('column: "T (degC)"', 'column: "T (degC)", range: [90, 20]', "11:44", "below the upper"),
        ("1240/x", "1240/y", "13:42", "'y' does not belong"),
        ("1240/x", "'__import__(1)'", "13:42", "does not belong"),
        ("output: yield", "output: yeild", "16:22", "did you mean yield"),
        ("top: 10 %", "top: 110 %", "16:34", "out of range"),
        ("points: 4", "points: 0", "17:19", "out of range"),
        ("seeds: 2", "seeds: two", "18:8", "whole number"),
        ("ensemble]", "ensembel]", "19:16", "did you mean ensemble"),
        ("ensemble]", "random]", "19:16", "listed twice"),
        ("seeds: 2", "budget: 3", "18:9", "initial points"),
        ("kind: categorical", "kind: vector, length: 2, scale: log", "9:44", "no scale"),
        ("kind: discrete, scale: log", "kind: integer, range: [0.5, 3]", "10:35", "whole"),
    ],
)
def test_a_mistake_in_the_pool_file_is_named_by_line_and_column(
    tmp_path: Path, old: str, new: str, place: str, says: str
) -> None:
    assert old in SPEC
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_spec(spec)
    assert f"spec.yaml:{place}: " in str(refused.value)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("objective", "place", "says"),
    [
        ("objective: {}\n", "15:12", "exactly one goal"),
        (TARGET.replace("2.20 eV", "2.20"), "16:36", "a number in eV"),
        (TARGET.replace("2.20 eV", "2.20 nm"), "16:36", "a number in eV"),
        (TARGET.replace("2.90 eV", "2.2 eV"), "16:36", "listed twice"),
        (TARGET.replace("0.004 eV", "0 eV"), "16:68", "above zero"),
    ],
)
def test_a_goal_that_makes_no_sense_is_named_by_line_and_column(
    tmp_path: Path, objective: str, place: str, says: str
) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text(spec_text(objective=objective), encoding="utf-8")
    with pytest.raises(ConfigError) as refused:
        load_spec(spec)
    assert says in str(refused.value)
    assert f"spec.yaml:{place.split(':', maxsplit=1)[0]}:" in str(refused.value)


@pytest.mark.parametrize(
    ("row", "place", "says"),
    [
        ("A;XPhos;1;hot;570;0.1;", "35:11: T (degC)", "a finite number"),
        ("A;XPhos;-1;50;570;0.1;", "35:9: loading", "above zero"),
        ("A;;1;50;570;0.1;", "35:3: ligand", "a level is wanted"),
        ("A;XPhos;1;50;570;;", "35:18: yield", "say in failed_when"),
        ('A;"X;Phos";1;50;570;nan;', "35:21: yield", "a finite number"),
        ("A;XPhos;1;50;570;0.1", "35:1", "6 cells in a row"),
    ],
)
def test_a_cell_that_cannot_be_used_is_named_by_its_place(tmp_path: Path, row: str, place: str, says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        pool_of(tmp_path, SPEC, row)
    assert f"table.csv:{place}: " in str(refused.value)
    assert says in str(refused.value)


def test_a_word_in_a_table_is_read_as_the_pool_file_says(tmp_path: Path) -> None:
    row, text = "A;XPhos;1;50;570;≥90%;", SPEC.replace("yield: {}", 'yield: {read_as: {"≥90%": 0.95}}')
    assert pool_of(tmp_path, text, row).values[-1] == 0.95
    with pytest.raises(ConfigError, match="a finite number"):
        pool_of(tmp_path, SPEC, row)


def test_a_missing_column_is_named_where_the_pool_file_asks_for_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        pool_of(tmp_path, SPEC.replace('"T (degC)"', '"T (degc)"'))
    assert "spec.yaml:11:25: inputs.temperature.column: the table has no such column" in str(refused.value)
    assert "did you mean T (degC)?" in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("one_of: [A, B]", "equals: Z", "no row of the table passes"),
        ("points: 4", "points: 31", "nothing to choose from 31"),
        (
            "equals: clogged",
            "blank: true}\n  - {column: remark, equals: clogged",
            "every condition of the table failed",
        ),
    ],
)
def test_a_pool_with_nothing_to_choose_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        pool_of(tmp_path, SPEC.replace(old, new))


def test_a_table_that_is_not_there_is_refused_with_exit_code_two(files: tuple[Path, Path], tmp_path: Path) -> None:
    _, spec = files
    done = CliRunner().invoke(app, ["pool", str(tmp_path / "none.csv"), "--spec", str(spec), "--json"])
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"]["error"] == "ConfigError"


@pytest.mark.parametrize(
    ("option", "says"),
    [(["--arms", "ensembel"], "did you mean ensemble"), (["--arms", "gp,gp"], "twice"), (["--out", "f.png"], ".svg")],
)
def test_options_that_make_no_sense_are_refused(files: tuple[Path, Path], option: list[str], says: str) -> None:
    data, spec = files
    done = CliRunner().invoke(app, ["pool", str(data), "--spec", str(spec), *option])
    assert done.exit_code == 2
    assert says in done.stderr


@pytest.mark.parametrize(
    ("text", "at", "value"),
    [("1239.842/x", 500.0, 2.479684), ("2*x + 1", 3.0, 7.0), ("-log10(x)", 0.001, 3.0), ("sqrt(x**2)", -4.0, 4.0)],
)
def test_a_formula_says_what_it_says(text: str, at: float, value: float) -> None:
    assert parse_formula(text)(at) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "x +", "y", "x.real", "open('f')", "x if x else 1", "log(x, 2)", "True", "[x]"])
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(FormulaError):
        parse_formula(text)


@pytest.mark.parametrize(("text", "at"), [("1/x", 0.0), ("log(x)", -1.0), ("exp(x)", 1e4), ("x**0.5", -1.0)])
def test_a_formula_without_a_finite_value_says_where(text: str, at: float) -> None:
    with pytest.raises(FormulaError, match="no value at x"):
        parse_formula(text)(at)
