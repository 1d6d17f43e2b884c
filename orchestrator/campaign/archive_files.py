"""The files of earlier experiments that a campaign names: journals of other runs, and tables of any origin."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator import units
from orchestrator.errors import ConfigError, LumiflowError

if TYPE_CHECKING:
    from orchestrator.config import CampaignConfig, LoadedCampaign
    from orchestrator.config.archives import ArchiveColumn, TableArchive

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
    Output("yield", units.FRACTION, lambda share: -0.1 <= share <= 1.1, '0 to 1, or 0 to 100 with unit: "%"'),
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


class ArchiveReading:
    """One archive being read, with the place in the campaign file that its problems are shown at."""

    def __init__(self, loaded: LoadedCampaign, name: str) -> None:
        self._loaded = loaded
        self._name = name
        self._folder = loaded.campaign_path.parent

    def problem(
        self, path: Sequence[str | int], message: str, *, allowed: str = "", suggestion: str = ""
    ) -> ConfigError:
        return wrong_archive(self._loaded, self._name, message, path, allowed=allowed, suggestion=suggestion)

    def run(self, file: str, place: int) -> list[Row]:
        """The experiments of an earlier run that were told to its planner."""
        from orchestrator.campaign.header import loaded_from
        from orchestrator.history.fold import fold
        from orchestrator.journal.journal import Journal

        path = self._folder / file
        where = ("files", place)
        if not path.is_file():
            raise self.problem(where, "there is no such journal")
        try:
            with Journal.open(path, readonly=True) as journal:
                state = fold(tuple(journal.events()))
            earlier = loaded_from(state.header).config
        except (LumiflowError, KeyError) as error:
            raise self.problem(where, f"no run can be read from it: {error}") from None
        recipe_of = _matched(self._loaded.config, earlier)
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
        columns = [
            (("inputs", name), entry.inputs[name], _DIMENSIONS.get(wanted.kind))
            for name, wanted in config.inputs.items()
        ]
        readings = {"peak": entry.peak, "fwhm": entry.fwhm, "yield": entry.quantum_yield, "peak_sd": entry.peak_sd}
        rows: list[Row] = []
        for line, cells in self._lines(entry):
            recipe = [self._number(path, column, dimension, cells, line) for path, column, dimension in columns]
            if None in recipe:
                raise self.problem(("file",), f"line {line} leaves an input blank")
            numbers = [self._output(output, readings[output.key], cells, line) for output in OUTPUTS]
            rows.append([*recipe, *numbers, numbers[0] is None])
        return rows

    def _lines(self, entry: TableArchive) -> list[tuple[int, dict[str, str]]]:
        path = self._folder / entry.file
        try:
            if path.stat().st_size > MAX_BYTES:
                raise self.problem(("file",), f"the table is larger than {MAX_BYTES // 1_000_000} MB")
            text = path.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise self.problem(("file",), f"the table cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise self.problem(("file",), "the table is not UTF-8 text") from None
        try:
            reader = csv.reader(text.splitlines(), delimiter=entry.delimiter, strict=True)
            names = [name.strip() for name in next(reader, [])]
            lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
        except csv.Error as error:
            raise self.problem(("file",), f"not a table: {error}") from None
        wanted = [*entry.inputs.values(), entry.peak, entry.fwhm, entry.quantum_yield, entry.peak_sd]
        for column in wanted:
            if column is not None and names.count(column.column) > 1:
                raise self.problem(("file",), f"{names.count(column.column)} columns are called {column.column!r}")
        for line, cells in lines:
            if len(cells) != len(names):
                raise self.problem(("file",), f"line {line} has {len(cells)} cells for {len(names)} columns")
        return [(line, dict(zip(names, cells, strict=True))) for line, cells in lines]

    def _output(
        self, output: Output, column: ArchiveColumn | None, cells: Mapping[str, str], line: int
    ) -> float | None:
        """A reading in the base unit; None where the table has none of it."""
        if column is None:
            return None
        number = self._number((output.key,), column, output.dimension, cells, line)
        if number is None or output.possible(number):
            return number
        written = f"{cells[column.column].strip()} {column.unit}".strip()
        percent = output.dimension is units.FRACTION and not column.unit and output.possible(number / 100.0)
        raise self.problem(
            (output.key, "column"),
            f"line {line}, column {column.column}: {written} is no {output.key}",
            allowed=output.allowed,
            suggestion='unit: "%"' if percent else "",
        )

    def _number(
        self,
        path: Sequence[str],
        column: ArchiveColumn,
        dimension: units.Dimension | None,
        cells: Mapping[str, str],
        line: int,
    ) -> float | None:
        """A cell in the base unit; None where it is blank."""
        cell = cells.get(column.column)
        if cell is None:
            raise self.problem((*path, "column"), f"the table has no such column; it has {', '.join(cells)}")
        cell = cell.strip()
        if not cell:
            return None
        try:
            number = float(cell)
            if column.unit and dimension is None:
                raise self.problem((*path, "unit"), "a ratio has no unit")
            if dimension is not None and (column.unit or not dimension.bare):
                number = units.parse_quantity(f"{cell} {column.unit}".strip(), dimension)
        except units.QuantityError as error:
            raise self.problem((*path, "unit"), f"{error.message} (line {line} of the table: {cell})") from None
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            raise self.problem(("file",), f"line {line}, column {column.column}: {cell!r} is not a number")
        return number


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
