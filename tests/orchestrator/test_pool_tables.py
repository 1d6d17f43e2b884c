"""Tables as people export them: lines, line breaks in cells, numbers that are none, rows that are left out."""

from pathlib import Path

import pytest

from orchestrator.errors import ConfigError
from tests.orchestrator.couplings import small_pool


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
    assert 'table.csv:3:8: y: a finite number is wanted here (got high)\n    3 | two",1,high\n' in said


def test_names_of_columns_may_run_over_lines(tmp_path: Path) -> None:
    table = '"x\n(s)",y\n1,2\n2,3\n'
    for column in ('"x (s)"', '"x\\n(s)"'):
        assert small_pool(tmp_path, table, inputs=f"{{x: {{column: {column}}}}}").x == ((1.0,), (2.0,))


@pytest.mark.parametrize("delimiter", ["\\n", "\\r", '\\"'])
def test_a_delimiter_that_ends_lines_or_quotes_cells_is_refused(tmp_path: Path, delimiter: str) -> None:
    said = refused(tmp_path, "x,y\n1,2\n", table=f'{{delimiter: "{delimiter}"}}')
    assert "table.delimiter: line ends and quotes cannot stand between cells" in said
