"""A table as its file has it: rows of cells, what they say, and what is wrong with them by line and column."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.messages import closest
from orchestrator.config.pool import Condition
from orchestrator.config.table_dialect import (
    DecimalMark,
    as_number,
    as_setting,
    meant_delimiter,
    no_text,
    said_delimiter,
)
from orchestrator.errors import ConfigError, Problem
from orchestrator.pool.amounts import LARGEST, TOO_LARGE, as_float, many
from orchestrator.pool.formula import Formula, FormulaError
from orchestrator.pool.spec import LoadedSpec, one_line

MAX_BYTES = 50_000_000
MAX_PROBLEMS = 20
_BY_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}([.,])\d{3}(?:\1\d{3})*")


@dataclass(frozen=True)
class Row:
    """One row: the line on which it begins, its text, which cells in quotes may carry over lines, and its cells."""

    line: int
    text: str
    cells: tuple[str, ...]


class Reading:
    """A table being read; problems are gathered, and those beyond the first twenty counted."""

    def __init__(self, path: Path, loaded: LoadedSpec) -> None:
        self.path, self.loaded, self.config = path, loaded, loaded.config
        self.decimal = loaded.config.table.decimal
        self.problems: list[Problem] = []
        self._told: set[tuple[int, int]] = set()
        self.data = _bytes(path)
        self.names, self.rows = self._split()
        self._index = {name: place for place, name in enumerate(self.names)}
        self._absent: dict[str, tuple[float, ...]] = {}
        for name, output in self.config.outputs.items():
            column = one_line(output.column or name)
            self._absent[column] = (*self._absent.get(column, ()), *output.absent)

    def _split(self) -> tuple[tuple[str, ...], list[Row]]:
        form = self.config.table
        try:
            text = unicodedata.normalize("NFC", self.data.decode("utf-8-sig"))
        except UnicodeDecodeError as error:
            before = self.data[: error.start]
            line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
            raise ConfigError([Problem(str(self.path), line, column, "", "", no_text(self.data))]) from None
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        said = said_delimiter(lines[0])
        if said is not None:
            if said != form.delimiter:
                message = f"the table says that {said!r} stands between its cells, and its pool file {form.delimiter!r}"
                near = f"table: {{{as_setting(said)}}}"
                raise ConfigError([Problem(str(self.path), 1, 1, "", "", message, "", near, lines[0])])
            lines[0] = ""
        reader = csv.reader((f"{line}\n" for line in lines), delimiter=form.delimiter, strict=True)
        rows: list[Row] = []
        ended = 0
        try:
            for cells in reader:
                began, ended = ended, reader.line_num
                if any(cell.strip() for cell in cells):
                    whole = "\n".join(lines[began:ended])
                    rows.append(Row(began + 1, whole, tuple(cell.strip() for cell in cells)))
        except csv.Error as error:
            last = min(reader.line_num, len(lines))
            where = f" in line {last}" if last > ended + 1 else ""
            message = f"not a table: {error}{where}; perhaps a quote that opens in this row is not closed"
            source = lines[min(ended, len(lines) - 1)][:200]
            raise ConfigError([Problem(str(self.path), ended + 1, 1, "", "", message, source=source)]) from None
        names, last = form.columns, 0
        if names is None:
            if not rows:
                raise ConfigError([Problem(str(self.path), 0, 0, "", "", "the table is empty")])
            head = rows.pop(0)
            names, last = head.cells, head.line + head.text.count("\n")
            if (meant := meant_delimiter(names)) != "":
                message = f"the names of its columns are not set apart by {form.delimiter!r}"
                source = head.text.split("\n")[0][:200]
                near = f"table: {{{meant}}}"
                raise ConfigError([Problem(str(self.path), head.line, 1, "", "", message, "", near, source)])
        rows = [row for row in rows if row.line > last + form.skip]
        for row in rows:
            if len(row.cells) != len(names):
                message = f"{many(len(row.cells), 'cell')} in a row of a table of {many(len(names), 'column')}"
                source = row.text.split("\n")[0][:200]
                above = form.columns is None and len(row.cells) > len(names) and not any(map(self.as_number, row.cells))
                near = _named_below(row) if above else ""
                raise ConfigError([Problem(str(self.path), row.line, 1, "", "", message, "", near, source)])
        if not rows:
            raise ConfigError([Problem(str(self.path), 0, 0, "", "", "the table has no rows")])
        return tuple(one_line(name) for name in names), rows

    def known(self, column: str, *path: str | int) -> bool:
        """Whether the table has a column; a problem of the pool file otherwise."""
        name = one_line(column)
        if self.names.count(name) == 1:
            return True
        repeated = name in self._index
        message = "the table has this column more than once" if repeated else "the table has no such column"
        near = "" if repeated else closest(name, self.names)
        if not repeated and self.config.table.columns is None:
            below = next((row for row in self.rows if name in map(one_line, row.cells)), None)
            near = near if below is None else _named_below(below)
        allowed = ", ".join(name for name in self.names if name)
        problem = self.loaded.document.problem(path, message, offending=column, allowed=allowed, suggestion=near)
        self.problems.append(problem)
        return False

    def cell(self, row: Row, column: str) -> str:
        """What a row holds in a column."""
        return row.cells[self._index[one_line(column)]]

    def as_number(self, cell: str) -> float | None:
        """The finite number that a cell holds as the table writes numbers; None where it holds none."""
        return as_number(cell, self.decimal)

    def blank(self, row: Row, column: str) -> bool:
        """Whether a cell is empty, or holds a number that an output of this column calls absent."""
        cell = self.cell(row, column)
        return cell == "" or self.as_number(cell) in self._absent.get(one_line(column), ())

    def wrong(self, row: Row, column: str, message: str) -> None:
        """Note a problem of one cell of the table; a cell that is used twice is wrong once."""
        below, place = _place(row.text, self.config.table.delimiter, self._index[one_line(column)])
        if (row.line + below, place) in self._told:
            return
        self._told.add((row.line + below, place))
        source = row.text.split("\n")[below][:200]
        cell = one_line(self.cell(row, column))
        self.problems.append(
            Problem(
                str(self.path),
                row.line + below,
                place,
                column,
                cell,
                message,
                suggestion=_rewritten(cell, self.decimal),
                source=source,
            )
        )

    def number(
        self, row: Row, column: str, formula: Formula | None, words: Mapping[str, float] | None = None
    ) -> float | None:
        """A cell as a number, transformed; None and a problem where it is none, and no word for one either."""
        cell = self.cell(row, column)
        value = (words or {}).get(cell, self.as_number(cell))
        if value is None:
            word = words is not None and not any(character.isdigit() for character in cell)
            hint = "; say in failed_when, filter or read_as what that means" if word else ""
            self.wrong(row, column, f"a finite number is wanted here{hint}")
            return None
        return self.transformed(row, column, value, formula)

    def transformed(self, row: Row, column: str, value: float, formula: Formula | None) -> float | None:
        """What a formula makes of a number in a cell; None and a problem where it makes none, or one too large."""
        try:
            number = value if formula is None else formula(value)
        except FormulaError as error:
            self.wrong(row, column, str(error))
            return None
        if abs(number) > LARGEST:
            self.wrong(row, column, TOO_LARGE)
            return None
        return number

    def refuse(self) -> None:
        """Raise what was gathered."""
        if self.problems:
            more = len(self.problems) - MAX_PROBLEMS
            kept = self.problems[:MAX_PROBLEMS]
            if more > 0:
                kept.append(Problem(str(self.path), 0, 0, "", "", f"and {more} more like these"))
            raise ConfigError(kept)


Combine = Callable[[Iterable[bool]], bool]


def row_tests(reading: Reading, section: str, conditions: Sequence[Condition]) -> Callable[[Row, Combine], bool]:
    """A test of rows by the conditions of a section, to be combined with all or any."""
    known = [c for i, c in enumerate(conditions) if reading.known(c.column, section, i, "column")]
    spoken = {(c.column, value) for c in known for value in _wanted(c) if isinstance(value, str)}

    def passes(row: Row, combine: Combine) -> bool:
        return combine(_holds(reading, section, condition, row, spoken) for condition in known)

    return passes


def _wanted(condition: Condition) -> tuple[str | float | bool, ...]:
    return condition.one_of or (() if condition.equals is None else (condition.equals,))


def _holds(reading: Reading, section: str, condition: Condition, row: Row, spoken: Set[tuple[str, str]]) -> bool:
    """Whether a row meets a condition. A cell that is compared with a number and is meant as one, but written
    otherwise, is a problem of the table: nobody would see the row missing. Not so a word of which another condition of
    the section speaks."""
    cell = reading.cell(row, condition.column)
    if condition.blank is not None:
        return reading.blank(row, condition.column) == condition.blank
    number = reading.as_number(cell)
    wanted = _wanted(condition)
    if wanted:
        compared = any(not isinstance(value, str) for value in wanted)
        if compared and cell not in wanted and _meant_as_number(cell, reading.decimal):
            reading.wrong(row, condition.column, f"a number is wanted here, which {section} compares")
        return any(cell == value if isinstance(value, str) else number == as_float(value) for value in wanted)
    if number is None:
        if cell != "" and (condition.column, cell) not in spoken:
            word = section == "failed_when" and not any(map(str.isdigit, cell))
            hint = "; a test of its own, with equals, may say what that means" if word else ""
            reading.wrong(row, condition.column, f"a number is wanted here, which {section} compares{hint}")
        return False
    if condition.below is not None:
        return number < condition.below
    return condition.above is not None and number > condition.above


def _rewritten(cell: str, decimal: DecimalMark) -> str:
    """A number that is written with the other decimal mark, or with a minus of its own, as it should be; empty for all
    else."""
    other = "," if decimal == "." else "."
    plain = cell.replace(other, decimal).replace("\N{MINUS SIGN}", "-")
    if as_number(cell, decimal) is not None:
        return ""
    if _BY_THOUSANDS.fullmatch(cell):  # to some a thousand, to others one and a quarter: nobody can tell for them
        whole = cell.replace(other, "")
        return f"{whole} or {plain}" if cell.count(other) == 1 and as_number(plain, decimal) is not None else whole
    return plain if as_number(plain, decimal) is not None else ""


def _meant_as_number(cell: str, decimal: DecimalMark) -> bool:
    """Whether a cell that is no number holds one, written otherwise or with a sign: 0,5 or 1_5 or <0.5 or 50 %."""
    bare = cell.replace("_", "").strip(" <>=~%\N{LESS-THAN OR EQUAL TO}\N{GREATER-THAN OR EQUAL TO}\N{ALMOST EQUAL TO}")
    meant = as_number(bare, decimal) is not None or _rewritten(bare, decimal) != ""
    return as_number(cell, decimal) is None and meant


def _named_below(row: Row) -> str:
    """How a pool file says that a table has lines above the names of its columns, which are those of this row."""
    return f"table: {{columns: [{', '.join(map(one_line, row.cells))}], skip: {row.line + row.text.count(chr(10))}}}"


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError([Problem(str(path), 0, 0, "", "", f"cannot be read: {error.strerror}")]) from None
    if len(data) > MAX_BYTES:
        raise ConfigError([Problem(str(path), 0, 0, "", "", f"the table is larger than {MAX_BYTES // 10**6} MB")])
    return data


def _place(text: str, delimiter: str, index: int) -> tuple[int, int]:
    """How many lines below the first of a row a cell begins, and at which column, from 1; the row's own beginning where
    quotes do not tell."""
    quoted, seen = False, 0
    for place, character in enumerate(text if index else "", start=1):
        if character == '"':
            quoted = not quoted
        elif character == delimiter and not quoted:
            seen += 1
            if seen == index:
                return text.count("\n", 0, place), place - (text.rfind("\n", 0, place) + 1) + 1
    return 0, 1
