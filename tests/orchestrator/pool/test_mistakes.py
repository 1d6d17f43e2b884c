"""`lumiflow pool` where the table, its description, a formula or an option cannot be used: what is said, and where."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator.cli.commands import app
from orchestrator.errors import ConfigError
from orchestrator.pool import load_spec
from orchestrator.pool.formula import FormulaError, parse_formula
from tests.orchestrator.pool.couplings import SPEC, TARGET, pool_of, spec_text


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
        ("one_of: [A, B]", "equals: TRUE", "5:29", 'in quotes, such as "TRUE"'),
        ("one_of: [A, B]", "one_of: [A, no, true]", "5:37", "text or a number is wanted here"),
        ('column: "T (degC)"', "column: yield", "11:25", "the column of the output yield too"),
        ('column: "T (degC)"', "column: loading", "11:25", "the column of the input loading too"),
        ("temperature: {", "yield: {}\n  temperature: {", "11:3", "the column of the output yield too"),
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
        ('column: "T (degC)"', 'column: "T (degC)", range: [-1.6e+308, 1.6e+308]', "11:44", "beyond 1e+100"),
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


@pytest.mark.parametrize("test", ["equals: TRUE", "one_of: [TRUE]"])
def test_true_without_quotes_is_one_mistake(tmp_path: Path, test: str) -> None:
    with pytest.raises(ConfigError) as refused:
        pool_of(tmp_path, SPEC.replace("one_of: [A, B]", test))
    assert len(refused.value.problems) == 1


@pytest.mark.parametrize(
    ("objective", "place", "says"),
    [
        ("objective: {}\n", "15:12", "exactly one goal"),
        (TARGET.replace("2.20 eV", "2.20"), "16:36", "a number in eV"),
        (TARGET.replace("2.20 eV", "2.20 nm"), "16:36", "a number in eV"),
        (TARGET.replace("2.90 eV", "2.2 eV"), "16:36", "listed twice"),
        (TARGET.replace("0.004 eV", "0 eV"), "16:68", "above zero"),
        (TARGET.replace("2.20 eV", "1e999 eV"), "16:36", "beyond 1e+100"),
        (TARGET.replace("0.004 eV", "1e300 eV"), "16:68", "beyond 1e+100"),
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
        ("A;XPhos;1;50;570;1_5;", "35:18: yield", "a finite number"),
        ("A;XPhos;1;50;570;1.5e308;", "35:18: yield", "beyond 1e+100"),
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


def test_a_table_that_is_not_there_is_refused_with_exit_code_two(pool_files: tuple[Path, Path], tmp_path: Path) -> None:
    _, spec = pool_files
    done = CliRunner().invoke(app, ["pool", str(tmp_path / "none.csv"), "--spec", str(spec), "--json"])
    assert done.exit_code == 2
    assert json.loads(done.stdout)["error"]["error"] == "ConfigError"


@pytest.mark.parametrize(
    ("option", "says"),
    [(["--arms", "ensembel"], "did you mean ensemble"), (["--arms", "gp,gp"], "twice"), (["--out", "f.png"], ".svg")],
)
def test_options_that_make_no_sense_are_refused(pool_files: tuple[Path, Path], option: list[str], says: str) -> None:
    data, spec = pool_files
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
