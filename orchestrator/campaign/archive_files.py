"""The files of earlier experiments that a campaign names: journals of other runs, and tables of any origin."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator import units
from orchestrator.config.messages import closest
from orchestrator.config.table_dialect import (
    as_number,
    as_setting,
    meant_delimiter,
    no_text,
    said_delimiter,
    with_point,
    wrong_dialect,
)
from orchestrator.errors import ConfigError, LumiflowError
from orchestrator.yaml_source import dotted

if TYPE_CHECKING:
    from orchestrator.config import CampaignConfig, Input, LoadedCampaign
    from orchestrator.config.archives import ArchiveColumn, TableArchive
    from orchestrator.config.table_dialect import DecimalMark

MAX_BYTES = 20_000_000

Row = list[float | bool | None]
"""An experiment: its recipe in the order of the inputs, then peak_ev, fwhm_ev, quantum_yield, peak_sd_ev, failed."""

_DIMENSIONS: Mapping[str, units.Dimension] = {
    "residence_time": units.TIME,
    "total_flow": units.FLOW,
    "temperature": units.TEMPERATURE,
    "molar_fraction": units.FRACTION,
    "concentration": units.CONCENTRATION,
    "volume_fraction": units.FRACTION,
}


@dataclass(frozen=True)
class Output:
    """A reading of a table. ``possible``: whether a number in the base unit can be one; ``allowed``: that in words."""

    key: str
    dimension: units.Dimension
    possible: Callable[[float], bool]
    allowed: str


OUTPUTS = (
    Output("peak", units.ENERGY, lambda ev: 0.0 < ev <= 10.0, "above 0 eV to 10 eV"),
    Output("fwhm", units.ENERGY_DIFFERENCE, lambda ev: 0.0 < ev <= 2.0, "above 0 eV to 2 eV"),
    # Measured yields scatter beyond what can be.
    Output("yield", units.FRACTION, lambda share: -0.1 <= share <= 1.1, '-0.1 to 1.1, or -10 to 110 with unit: "%"'),
    Output("peak_sd", units.ENERGY_DIFFERENCE, lambda ev: 0.0 <= ev <= 2.0, "0 eV to 2 eV"),
)


def wrong_archive(
    loaded: LoadedCampaign,
    name: str,
    message: str,
    path: Sequence[str | int] = (),
    *,
    offending: str | None = None,
    allowed: str = "",
    suggestion: str = "",
) -> ConfigError:
    """What is wrong with an archive of this name, or with all of them, at its place in the campaign file.

    ``offending``: what stands there wrongly; None shows it as it stands.
    """
    where = ("archives", name, *path) if name else ("archives",)
    document = loaded.campaign_source
    problem = document.problem(where, message, offending=offending, allowed=allowed, suggestion=suggestion)
    return ConfigError([problem])


@dataclass(frozen=True)
class _Line:
    """A line of a table: its number in the file, its cells by their columns, and how the table is written."""

    number: int
    cells: Mapping[str, str]
    form: TableArchive


class ArchiveReading:
    """One archive being read, with the place in the campaign file that its problems are shown at.

    ``runs``: where in the file the runs stand that were read before it, by the hash of their first event.
    """

    def __init__(self, loaded: LoadedCampaign, name: str, runs: dict[str, str]) -> None:
        self._loaded = loaded
        self._name = name
        self._runs = runs
        self._folder = loaded.campaign_path.parent

    def problem(
        self,
        path: Sequence[str | int],
        message: str,
        *,
        offending: str | None = None,
        allowed: str = "",
        suggestion: str = "",
    ) -> ConfigError:
        return wrong_archive(
            self._loaded, self._name, message, path, offending=offending, allowed=allowed, suggestion=suggestion
        )

    def run(self, file: str, place: int) -> list[Row]:
        """The experiments of an earlier run that were told to its planner.

        A run is known by the hash of its first event: under another path, as a copy, or as a copy of when it had come
        less far, it is the same, and its experiments would count twice.
        """
        from orchestrator.campaign.header import loaded_from
        from orchestrator.history.fold import fold
        from orchestrator.journal.journal import Journal

        path = self._folder / file
        where = ("files", place)
        if not path.is_file():
            raise self.problem(where, "there is no such journal")
        try:
            with Journal.open(path, readonly=True) as journal:
                events = tuple(journal.events())
            state = fold(events)
            earlier = loaded_from(state.header)
        except (LumiflowError, KeyError) as error:
            raise self.problem(where, f"no run can be read from it: {error}") from None
        own_place = dotted(("archives", self._name, *where))
        first_place = self._runs.setdefault(events[0].hash, own_place)
        if first_place != own_place:
            raise self.problem(where, f"the same run as {first_place}: its experiments would count twice")
        here, there = _looks_at(self._loaded), _looks_at(earlier)
        if there != here:
            message = f"its rig looked at {there} and that of this campaign looks at {here}: their peaks are not alike"
            raise self.problem(where, message, allowed=f"runs on rigs that look at {here}")
        recipe_of = _matched(self._loaded.config, earlier.config)
        if isinstance(recipe_of, str):
            raise self.problem(where, recipe_of)
        rows: list[Row] = []
        for experiment in state.experiments:
            if experiment.told:
                recipe = [experiment.recipe[key] if key is not None else value for key, value in recipe_of]
                numbers = (experiment.peak_ev, experiment.fwhm_ev, experiment.quantum_yield, experiment.peak_sd_ev)
                rows.append([*recipe, *(numbers if experiment.accepted else (None,) * 4), not experiment.accepted])
        return rows

    def table(self, entry: TableArchive) -> list[Row]:
        """The experiments of a table."""
        config = self._loaded.config
        missing = [name for name in config.inputs if name not in entry.inputs]
        strange = [name for name in entry.inputs if name not in config.inputs]
        if missing or strange:
            words = f"no column for {', '.join(missing)}" if missing else f"no input is named {', '.join(strange)}"
            raise self.problem(("inputs",), words)
        readings = {"peak": entry.peak, "fwhm": entry.fwhm, "yield": entry.quantum_yield, "peak_sd": entry.peak_sd}
        rows: list[Row] = []
        for line in self._lines(entry):
            recipe = [self._input(name, wanted, entry.inputs[name], line) for name, wanted in config.inputs.items()]
            if None in recipe:
                raise self.problem(("file",), f"line {line.number} leaves an input blank")
            numbers = [self._output(output, readings[output.key], line) for output in OUTPUTS]
            rows.append([*recipe, *numbers, numbers[0] is None])
        return rows

    def _lines(self, entry: TableArchive) -> list[_Line]:
        if (dialect := wrong_dialect(entry.delimiter, entry.decimal)) is not None:
            key, message, meant = dialect
            raise self.problem((key,), message, suggestion=meant)
        path = self._folder / entry.file
        try:
            if path.stat().st_size > MAX_BYTES:
                raise self.problem(("file",), f"the table is larger than {MAX_BYTES // 1_000_000} MB")
            data = path.read_bytes()
            text = data.decode("utf-8-sig")
        except OSError as error:
            raise self.problem(("file",), f"the table cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise self.problem(("file",), no_text(data)) from None
        written = text.splitlines()
        above = said_delimiter(written[0]) if written else None
        if above is not None and above != entry.delimiter:
            message = (
                f"the table says that {above!r} stands between its cells, and the campaign file {entry.delimiter!r}"
            )
            raise self.problem(("file",), message, suggestion=as_setting(above))
        if above is not None:
            written[0] = ""
        try:
            reader = csv.reader(written, delimiter=entry.delimiter, strict=True)
            lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
        except csv.Error as error:
            raise self.problem(("file",), f"not a table: {error}") from None
        if len(lines) < 2:
            raise self.problem(
                ("file",), "the table has no experiments: a line of names comes first, then one for each"
            )
        names = [name.strip() for name in lines.pop(0)[1]]
        if (meant := meant_delimiter(names)) != "":
            message = f"the names of its columns are not set apart by {entry.delimiter!r}: {names[0][:60]}"
            raise self.problem(("file",), message, suggestion=meant)
        wanted = [*entry.inputs.values(), entry.peak, entry.fwhm, entry.quantum_yield, entry.peak_sd]
        for column in wanted:
            if column is not None and names.count(column.column) > 1:
                raise self.problem(("file",), f"{names.count(column.column)} columns are called {column.column!r}")
        for line, cells in lines:
            if len(cells) != len(names):
                raise self.problem(("file",), f"line {line} has {len(cells)} cells for {len(names)} columns")
        return [_Line(line, dict(zip(names, cells, strict=True)), entry) for line, cells in lines]

    def _input(self, name: str, wanted: Input, column: ArchiveColumn, line: _Line) -> float | None:
        """What a line says of an input, in the base unit; the place of a name in the list of a choice."""
        path = ("inputs", name)
        if not wanted.levels:
            return self._number(path, column, _DIMENSIONS.get(wanted.kind), line)
        if column.unit:
            raise self.problem((*path, "unit"), "the names of pumps have no unit")
        cell = self._cell(path, column, line)
        if cell and cell not in wanted.levels:
            raise self.problem(
                (*path, "column"),
                f"line {line.number}, column {column.column}: the name of a pump is wanted here",
                offending=cell,
                allowed=", ".join(wanted.levels),
                suggestion=closest(cell, wanted.levels),
            )
        return float(wanted.levels.index(cell)) if cell else None

    def _output(self, output: Output, column: ArchiveColumn | None, line: _Line) -> float | None:
        """A reading in the base unit; None where the table has none of it."""
        if column is None:
            return None
        number = self._number((output.key,), column, output.dimension, line)
        if number is None or output.possible(number):
            return number
        written = f"{line.cells[column.column].strip()} {column.unit}".strip()
        percent = output.dimension is units.FRACTION and not column.unit and output.possible(number / 100.0)
        raise self.problem(
            (output.key, "column"),
            f"line {line.number}, column {column.column}: {written} is no {output.key}",
            allowed=output.allowed,
            suggestion='unit: "%"' if percent else "",
        )

    def _number(
        self, path: Sequence[str], column: ArchiveColumn, dimension: units.Dimension | None, line: _Line
    ) -> float | None:
        """A cell in the base unit; None where it is blank."""
        cell = self._cell(path, column, line)
        if not cell:
            return None
        number = as_number(cell, line.form.decimal)
        if number is None:
            other: DecimalMark = "," if line.form.decimal == "." else "."
            meant = other != line.form.delimiter and as_number(cell, other) is not None
            message = f"line {line.number}, column {column.column}: {cell!r} is not a number"
            raise self.problem(("file",), message, suggestion=f'decimal: "{other}"' if meant else "")
        if column.unit and dimension is None:
            raise self.problem((*path, "unit"), "a ratio has no unit")
        if dimension is None or (not column.unit and dimension.bare):
            return number
        try:
            return units.parse_quantity(f"{with_point(cell, line.form.decimal)} {column.unit}".strip(), dimension)
        except units.QuantityError as error:
            message = f"{error.message} (line {line.number} of the table: {cell})"
            raise self.problem((*path, "unit"), message) from None

    def _cell(self, path: Sequence[str], column: ArchiveColumn, line: _Line) -> str:
        """What a line holds in a column; empty where it is blank."""
        cell = line.cells.get(column.column)
        if cell is None:
            message = f"the table has no such column; it has {', '.join(line.cells)}"
            raise self.problem((*path, "column"), message)
        return cell.strip()


def _looks_at(loaded: LoadedCampaign) -> str:
    """What the rig's peaks are peaks of."""
    return "emission" if loaded.rig.detector.sees_emission else "absorption"


def _matched(config: CampaignConfig, earlier: CampaignConfig) -> list[tuple[str | None, float]] | str:
    """For each input its name in an earlier campaign, or the value that was fixed there; or what does not match."""
    chosen = {_meaning(entry): name for name, entry in earlier.inputs.items()}
    fixed = {_meaning(entry): entry.value for entry in earlier.fixed.values()}
    found: list[tuple[str | None, float]] = []
    for name, entry in config.inputs.items():
        meaning = _meaning(entry)
        if meaning not in chosen and meaning not in fixed:
            return f"it neither chose nor fixed what {name} is here"
        found.append((chosen.get(meaning), fixed.get(meaning, math.nan)))
    here = {_meaning(entry) for entry in config.inputs.values()}
    beside = [name for meaning, name in chosen.items() if meaning not in here]
    if beside:
        return f"it also varied {', '.join(beside)}, which this campaign does not"
    return found


def _meaning(entry: Any) -> tuple[Any, ...]:
    """What an input or a fixed quantity is, whatever it is called."""
    said = entry.model_dump(include={"kind", "of", "to", "among"})
    among = tuple(said.get("among") or ())
    # The value of a choice is a place in its list; a sum is the same in any order.
    listed = among if said["kind"] == "pump_choice" else frozenset(among)
    return (said["kind"], said.get("of"), said.get("to"), listed)
