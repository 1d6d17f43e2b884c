"""Tables as people export them: lines, line breaks in cells, numbers that are none, rows that are left out."""

from pathlib import Path

import pytest

from orchestrator.errors import ConfigError
from orchestrator.pool import load_pool, load_spec
from orchestrator.pool.summary import heading
from tests.orchestrator.pool.couplings import small_pool


def refused(folder: Path, written: str, /, **sections: str) -> str:
    with pytest.raises(ConfigError) as error:
        small_pool(folder, written, **sections)
    return str(error.value)


def test_a_line_break_in_a_cell_does_not_run_its_numbers_together(tmp_path: Path) -> None:
    said = refused(tmp_path, 'x,y\n1,2\n2,"1\n5"\n3,4\n')
    assert "table.csv:3:3: y: a finite number is wanted here (got 1 5)" in said
    codes = 'code,y\n"[0 1\n0]",1\n"[0 1\n1]",2\n'
    assert small_pool(tmp_path, codes, inputs="{code: {kind: vector, length: 3}}").x == ((0, 1, 0), (0, 1, 1))


def test_a_cell_behind_a_line_break_is_named_by_the_line_on_which_it_stands(tmp_path: Path) -> None:
    said = refused(tmp_path, 'note,x,y\n"one\ntwo",1,high\n,2,3\n')
    assert "table.csv:3:8: y: a finite number is wanted here" in said
    assert '    3 | two",1,high\n' in said


def test_names_of_columns_may_run_over_lines(tmp_path: Path) -> None:
    table = '"x\n(s)",y\n1,2\n2,3\n'
    for column in ('"x (s)"', '"x\\n(s)"'):
        assert small_pool(tmp_path, table, inputs=f"{{x: {{column: {column}}}}}").x == ((1.0,), (2.0,))


CONCENTRATIONS = "x;conc;y\n1;0,5;2\n2;1;3\n3;;4\n4;0.1;5\n"


def test_a_number_with_a_comma_is_named_where_the_filter_compares_it(tmp_path: Path) -> None:
    form = {"table": '{delimiter: ";"}'}
    said = refused(tmp_path, CONCENTRATIONS, **form, filter="[{column: conc, above: 0.3}]")
    where = "table.csv:2:3: conc: a number is wanted here, which filter compares"
    assert f"{where} (got 0,5; did you mean 0.5?)" in said
    for test in ("equals: 0.5", "one_of: [0.5, low]", "below: 1"):
        assert where in refused(tmp_path, CONCENTRATIONS, **form, filter=f"[{{column: conc, {test}}}]")


@pytest.mark.parametrize("cell", ["95 %", "<1", "n.a.", "nan", "\N{MINUS SIGN}1"])
def test_a_cell_that_is_no_number_is_named_where_it_is_compared(tmp_path: Path, cell: str) -> None:
    table = f"x,pure,y\n1,{cell},2\n2,3,3\n3,9,4\n"
    for section in ("filter", "failed_when"):
        said = refused(tmp_path, table, **{section: "[{column: pure, below: 5}]"})
        assert f"table.csv:2:3: pure: a number is wanted here, which {section} compares" in said
        assert f"(got {cell}" in said


def test_words_and_blanks_are_left_out_where_numbers_are_compared_with_and_so_are_rows_of_other_tests(
    tmp_path: Path,
) -> None:
    table = "x,run,pure,y\n1,A,95,2\n2,A,,3\n3,calibration,lamp,4\n4,B,99,5\n5,1,97,6\n"
    pool = small_pool(tmp_path, table, filter="[{column: run, one_of: [A, B, 1]}, {column: pure, above: 90}]")
    assert (pool.x, pool.rows, pool.left_out) == (((1.0,), (4.0,), (5.0,)), 3, 2)
    assert "3 conditions from 3 rows (the filter left out 2 more);" in heading(pool)


@pytest.mark.parametrize("word", ["{column: y, equals: n.d.}", "{column: y, one_of: [lost, n.d.]}"])
def test_a_word_that_means_a_failure_may_be_named_before_or_after_the_number_that_does(
    tmp_path: Path, word: str
) -> None:
    table, low = "x,y\n1,2\n2,n.d.\n3,5\n4,0.1\n", "{column: y, below: 1}"
    for tests in (f"[{word}, {low}]", f"[{low}, {word}]"):
        assert small_pool(tmp_path, table, failed_when=tests).values == (2.0, None, 5.0, None)
    said = refused(tmp_path, table, failed_when=f"[{low}]")
    assert said.count("table.csv:3:3") == 1
    assert "a test of its own, with equals, may say what that means (got n.d.)" in said


def test_a_cell_that_a_test_and_an_output_cannot_use_is_named_once(tmp_path: Path) -> None:
    said = refused(tmp_path, "x,y\n1,2\n2,<1\n3,5\n", failed_when="[{column: y, below: 1}]")
    assert said.count("table.csv:3:3") == 1


def test_a_number_that_means_blank_is_blank_to_tests_too(tmp_path: Path) -> None:
    table, outputs = "x,y\n1,2\n2,-999\n3,\n4,5\n", "{y: {absent: [-999]}}"
    failed = small_pool(tmp_path, table, outputs=outputs, failed_when="[{column: y, blank: true}]")
    assert failed.values == (2.0, None, None, 5.0)
    kept = small_pool(tmp_path, table, outputs=outputs, filter="[{column: y, blank: false}]")
    assert kept.values == (2.0, 5.0)
    named = small_pool(tmp_path, "x,y\n1,2\n2,-999\n3,5\n", outputs=outputs, failed_when="[{column: y, below: 0}]")
    assert named.values == (2.0, None, 5.0)
    assert "table.csv:3:3: y: no reading here; say in failed_when" in refused(tmp_path, table, outputs=outputs)


def test_a_blank_cell_is_a_number_where_the_pool_file_says_so(tmp_path: Path) -> None:
    pool = small_pool(tmp_path, "x,y\n1,2\n2,\n3,5\n", outputs='{y: {read_as: {"": 0}}}')
    assert pool.values == (2.0, 0.0, 5.0)


def test_lines_are_left_out_by_the_lines_of_the_file_blank_ones_too(tmp_path: Path) -> None:
    for skipped in ("[s],[%]\n\n", "\n[s],[%]\n", '"[s\n]",[%]\n'):
        pool = small_pool(tmp_path, f"x,y\n{skipped}1,2\n2,3\n", table="{skip: 2}")
        assert pool.x == ((1.0,), (2.0,)), skipped


@pytest.mark.parametrize("delimiter", ["\\n", "\\r", '\\"'])
def test_a_delimiter_that_ends_lines_or_quotes_cells_is_refused(tmp_path: Path, delimiter: str) -> None:
    said = refused(tmp_path, "x,y\n1,2\n", table=f'{{delimiter: "{delimiter}"}}')
    assert "table.delimiter: line ends and quotes cannot stand between cells" in said


COMMAS = {"table": '{delimiter: ";", decimal: ","}'}


def test_a_table_with_decimal_commas_is_the_pool_that_it_is_with_points(tmp_path: Path) -> None:
    table = 'x,code,conc,y\n1.5,"[0.5, 1]",1.0,2.25\n2.5,[1 2.5],0.2,-999.0\n3.5,[2 2],0.6,1e-3\n4,[3 3],0.7,low\n'
    form = {
        "inputs": "{x: {}, code: {kind: vector, length: 2}}",
        "outputs": "{y: {absent: [-999], read_as: {low: 0.5}, transform: 2*x}}",
        "filter": "[{column: conc, above: 0.1}]",
        "failed_when": "[{column: y, blank: true}, {column: conc, one_of: [0.6]}]",
    }
    plain = small_pool(tmp_path, table, **form)
    european = table.replace('"[0.5, 1]"', "[0.5 1]").replace(",", ";").replace(".", ",")
    pool = small_pool(tmp_path, european, **form, **COMMAS)
    assert pool.values == (4.5, None, None, 1.0)
    assert pool.x[0] == (1.5, 0.5, 1.0)
    assert pool.digest == plain.digest
    assert small_pool(tmp_path, european.replace("[0,5 1]", '"[0,5; 1]"'), **form, **COMMAS).digest == plain.digest


def test_a_number_with_a_point_is_named_where_the_table_has_decimal_commas(tmp_path: Path) -> None:
    said = refused(tmp_path, "x;y\n1;0.5\n2;3\n", **COMMAS)
    assert "table.csv:2:3: y: a finite number is wanted here (got 0.5; did you mean 0,5?)" in said
    compared = refused(tmp_path, CONCENTRATIONS, **COMMAS, filter="[{column: conc, above: 0.3}]")
    assert (
        "table.csv:5:3: conc: a number is wanted here, which filter compares (got 0.1; did you mean 0,1?)" in compared
    )


@pytest.mark.parametrize(("form", "key"), [('{decimal: ","}', "decimal"), ('{delimiter: "."}', "delimiter")])
def test_what_stands_before_decimals_cannot_stand_between_cells(tmp_path: Path, form: str, key: str) -> None:
    said = refused(tmp_path, "x,y\n1,2\n", table=form)
    assert f"table.{key}: what stands between cells cannot stand before decimals too" in said


@pytest.mark.parametrize(("between", "meant"), [(";", ";"), ("\t", "\\t")])
def test_a_table_whose_cells_are_set_apart_by_something_else_is_told_by_what(
    tmp_path: Path, between: str, meant: str
) -> None:
    table = f"x{between}y\n1{between}2\n2{between}3\n"
    said = refused(tmp_path, table)
    assert "table.csv:1:1: the names of its columns are not set apart by ','" in said
    assert f'did you mean table: {{delimiter: "{meant}"}}?' in said
    assert small_pool(tmp_path, table, table=f'{{delimiter: "{meant}"}}').x == ((1.0,), (2.0,))


@pytest.mark.parametrize("above", ["sep=;", '"sep=;"', "SEP=;", "sep=;;;"])
def test_a_line_that_tells_excel_what_stands_between_cells_is_no_part_of_the_table(tmp_path: Path, above: str) -> None:
    table = f"{above}\nx;y\n1;2\n2;high\n"
    said = refused(tmp_path, table)
    assert "table.csv:1:1: the table says that ';' stands between its cells, and its pool file ','" in said
    assert 'did you mean table: {delimiter: ";"}?' in said
    form = '{delimiter: ";"}'
    assert "table.csv:4:3: y: a finite number is wanted here; say in failed_when, filter or read_as what" in refused(
        tmp_path, table, table=form
    )
    assert small_pool(tmp_path, table.replace("high", "3"), table=form).x == ((1.0,), (2.0,))


@pytest.mark.parametrize(("pair", "best"), [("0.1,0.2", "0.15"), ("95.1,95.3", "95.2")])
def test_conditions_are_as_good_as_each_other_whatever_rounding_makes_of_a_mean(
    tmp_path: Path, pair: str, best: str
) -> None:
    once, again = pair.split(",")
    for goal, others in (("maximise", 0.01), ("minimise", 99.0)):
        table = f"x,y\n1,{once}\n1,{again}\n2,{best}\n3,{best}\n4,{others}\n5,{others}\n"
        pool = small_pool(tmp_path, table, objective=f"{{{goal}: {{output: y, top: 20 %}}}}")
        assert pool.goals[0].hits == {0, 1, 2}


def test_a_number_that_planners_would_not_see_is_refused(tmp_path: Path) -> None:
    assert "table.csv:3:3: y: a number beyond 1e+100" in refused(tmp_path, "x,y\n1,2\n2,1e120\n3,4\n")
    assert small_pool(tmp_path, "x,y\n1,2\n2,1e99\n").values == (2.0, 1e99)


def test_a_level_is_the_same_however_its_marks_are_written(tmp_path: Path) -> None:
    table = "Lo\u0308sung,y\nTolu\u0308ol,1\nTol\u00fcol,2\nDMF,3\n"
    pool = small_pool(tmp_path, table, inputs="{x: {column: L\u00f6sung, kind: categorical}}")
    assert pool.variables[0].levels == ("DMF", "Tol\u00fcol")
    assert len(pool) == 2


def test_a_quote_that_is_not_closed_is_named_where_it_opens(tmp_path: Path) -> None:
    said = refused(tmp_path, 'x,y\n1,2\n"2,3\n3,4\n4,5\n')
    assert "table.csv:3:1: not a table: unexpected end of data" in said
    assert "perhaps a quote that opens in this row is not closed" in said
    assert '3 | "2,3' in said


@pytest.mark.parametrize(
    ("form", "cell", "meant"),
    [
        ("{}", "1,250", "did you mean 1250 or 1.250?"),
        ("{}", "1,250,000", "did you mean 1250000?"),
        ("{}", "0,125", "did you mean 0.125?"),
        ('{decimal: ","}', "1.250", "did you mean 1250 or 1,250?"),
    ],
)
def test_what_may_be_a_thousand_is_not_taken_for_one(tmp_path: Path, form: str, cell: str, meant: str) -> None:
    table = f"x;y\n1;2\n2;{cell}\n"
    assert meant in refused(tmp_path, table, table=form.replace("{", '{delimiter: ";", ').replace(", }", "}"))


@pytest.mark.parametrize("above", ["HPLC 3.1\n", "HPLC 3.1\n\n2026-11-20 10:14\n"])
def test_lines_above_the_names_are_told_how_they_are_left_out(tmp_path: Path, above: str) -> None:
    table = f"{above}x,y\n1,2\n2,3\n"
    meant = f"table: {{columns: [x, y], skip: {above.count(chr(10)) + 1}}}"
    assert f"did you mean {meant}?" in refused(tmp_path, table)
    assert small_pool(tmp_path, table, table=meant.removeprefix("table: ")).x == ((1.0,), (2.0,))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            "x,y\nL\u00f6sung,2\n".encode("latin-1"),
            "table.csv:2:2: the table is not UTF-8 text: save it as",
        ),
        ("x,y\n1,2\n".encode("utf-16"), "the table is UTF-16 text, and UTF-8 is wanted"),
        (b"PK\x03\x04\xff\xff", "this is a workbook"),
    ],
)
def test_a_table_that_is_no_text_is_told_what_it_is(tmp_path: Path, data: bytes, said: str) -> None:
    small_pool(tmp_path, "x,y\n1,2\n2,3\n")
    (tmp_path / "table.csv").write_bytes(data)
    with pytest.raises(ConfigError) as error:
        load_pool(tmp_path / "table.csv", load_spec(tmp_path / "spec.yaml"))
    assert said in str(error.value)


def test_the_first_example_of_the_documentation_is_a_whole_pool_file(tmp_path: Path) -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "pools.md").read_text(encoding="utf-8")
    before, example = text.split("```yaml\n", 1)
    (tmp_path / "spec.yaml").write_text(example.split("```", 1)[0], encoding="utf-8")
    first_line = before.rsplit("whose first line is `", 1)[1].split("`", 1)[0]
    rows = "".join(f"XPhos,{20 + number},0.{number}\n" for number in range(8))
    (tmp_path / "table.csv").write_text(f"{first_line}\n{rows}", encoding="utf-8")
    pool = load_pool(tmp_path / "table.csv", load_spec(tmp_path / "spec.yaml"))
    assert (len(pool), pool.initial) == (8, 5)
