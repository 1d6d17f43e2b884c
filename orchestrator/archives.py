"""Earlier experiments that a campaign file names, for the planner to learn from.

They are read once, when a run begins, and stand in its first event: so a resumed or replayed run needs neither the
journals nor the tables that they came from, and a proposal stays a function of what the journal says.
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orchestrator import units
from orchestrator.canonical import canonical
from orchestrator.config.archives import ArchiveColumn, RunsArchive, TableArchive
from orchestrator.errors import ConfigError, LumiflowError

if TYPE_CHECKING:
    from orchestrator.config import CampaignConfig, Input, LoadedCampaign
    from orchestrator.errors import Problem
    from planners import Archive

MAX_ROWS = 5000
MAX_BYTES = 20_000_000
_AT_A_TIME = 1000

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
class _Output:
    """A reading of a table. ``possible``: whether a number in the base unit can be one; ``allowed``: that in words."""

    key: str
    dimension: units.Dimension
    possible: Callable[[float], bool]
    allowed: str


_OUTPUTS = (
    _Output("peak", units.ENERGY, lambda ev: 0.0 < ev <= 10.0, "above 0 eV to 10 eV"),
    _Output("fwhm", units.ENERGY_DIFFERENCE, lambda ev: 0.0 < ev <= 2.0, "above 0 eV to 2 eV"),
    # Measured yields scatter beyond what can be.
    _Output("yield", units.FRACTION, lambda share: -0.1 <= share <= 1.1, '0 to 1, or 0 to 100 with unit: "%"'),
    _Output("peak_sd", units.ENERGY_DIFFERENCE, lambda ev: 0.0 <= ev <= 2.0, "0 eV to 2 eV"),
)


def gather(loaded: LoadedCampaign) -> list[dict[str, Any]]:
    """The archives of a campaign as its journal keeps them: name, sources, digest of the rows, rows, and how many
    experiments lay outside of the inputs' ranges, and how many inside of them but off the inputs' steps or values.

    Raises ConfigError for a file that cannot be read, that lacks an input of the campaign, or that says too much.
    """
    found: list[dict[str, Any]] = []
    total = 0
    for name, entry in loaded.config.archives.items():
        reading = _Reading(loaded, name)
        if isinstance(entry, RunsArchive):
            rows = [row for place, file in enumerate(entry.files) for row in reading.run(file, place)]
            sources = list(entry.files)
        else:
            rows, sources = reading.table(entry), [entry.file]
        kept, outside, off_steps = _sorted_out(rows, loaded.config)
        if not kept:
            message = f"none of its {len(rows)} experiments lies within the ranges of the inputs"
            if off_steps:
                message = f"none of its experiments can be learnt from: {_words(loaded, outside, off_steps)}"
            raise reading.problem((), message)
        total += len(kept)
        digest = hashlib.sha256(canonical(kept).encode()).hexdigest()
        found.append(
            {
                "name": name,
                "files": sources,
                "rows_sha256": digest,
                "rows": kept,
                "outside": outside,
                "off_steps": off_steps,
            }
        )
    if total > MAX_ROWS:
        problem = loaded.campaign_source.problem(("archives",), f"more than {MAX_ROWS} experiments in all")
        raise ConfigError([problem])
    return found


def learns_from_archives(config: CampaignConfig) -> bool:
    """Whether the campaign's strategy has a model that takes notice of them."""
    from planners import strategy
    from planners.modelled import Modelled

    return isinstance(strategy(config.planner.strategy), Modelled)


def left_out(loaded: LoadedCampaign, found: Sequence[Mapping[str, Any]]) -> tuple[Problem, ...]:
    """What deserves to be known of gathered archives: the experiments that a planner would not be told of, counted."""
    notes: list[Problem] = []
    if found and not learns_from_archives(loaded.config):
        message = f"the strategy {loaded.config.planner.strategy!r} takes no notice of archives"
        notes.append(loaded.campaign_source.problem(("archives",), message, at_key=True, offending=""))
    for archive in found:
        missing = archive["outside"] + archive["off_steps"]
        if missing:
            why = _words(loaded, archive["outside"], archive["off_steps"])
            message = f"left out of its {len(archive['rows']) + missing} experiments: {why}"
            where = ("archives", archive["name"])
            notes.append(loaded.campaign_source.problem(where, message, at_key=True, offending=""))
    return tuple(notes)


def of_header(header: Mapping[str, Any]) -> tuple[Archive, ...]:
    """The archives of a run as its planner takes them, from the first event of its journal."""
    from planners import Archive, Observation

    def told(row: Sequence[Any]) -> Observation:
        *recipe, peak_ev, fwhm_ev, quantum_yield, peak_sd_ev, failed = row
        return Observation(tuple(recipe), peak_ev, fwhm_ev, quantum_yield, peak_sd_ev, bool(failed))

    return tuple(Archive(each["name"], tuple(map(told, each["rows"]))) for each in header.get("archives", ()))


def _sorted_out(rows: Sequence[Row], config: CampaignConfig) -> tuple[list[Row], int, int]:
    """The experiments that a planner takes; how many lie outside of the ranges; how many inside, but off the steps."""
    import numpy as np

    from orchestrator.planning import search_space  # here, since planning itself begins with this module
    from planners import SearchSpace, Variable

    space = search_space(config)
    ranges = SearchSpace(tuple(Variable(name, *_ends(entry)) for name, entry in config.inputs.items()))
    kept: list[Row] = []
    outside = 0
    for start in range(0, len(rows), _AT_A_TIME):
        some = rows[start : start + _AT_A_TIME]
        recipes = np.array([row[: len(config.inputs)] for row in some], dtype=np.float64)
        outside += int(np.sum(~ranges.contains(recipes)))
        kept += [row for row, taken in zip(some, space.contains(recipes), strict=True) if taken]
    return kept, outside, len(rows) - len(kept) - outside


def _ends(entry: Input) -> tuple[float, float]:
    """The range of an input as the file has it, whether or not its steps reach the upper end."""
    return entry.given.range or (entry.low, entry.high)


def _words(loaded: LoadedCampaign, outside: int, off_steps: int) -> str:
    """Why experiments are left out."""
    parts = [f"{outside} outside of the ranges of the inputs"] if outside else []
    if off_steps:
        stepped = ", ".join(name for name, entry in loaded.config.inputs.items() if entry.choices)
        parts.append(f"{off_steps} off the steps or values of {stepped}")
    return " and ".join(parts)


class _Reading:
    """One archive being read, with the place in the campaign file that its problems are shown at."""

    def __init__(self, loaded: LoadedCampaign, name: str) -> None:
        self._loaded = loaded
        self._name = name
        self._folder = loaded.campaign_path.parent

    def problem(
        self, path: Sequence[str | int], message: str, *, allowed: str = "", suggestion: str = ""
    ) -> ConfigError:
        where = ("archives", self._name, *path)
        document = self._loaded.campaign_source
        return ConfigError([document.problem(where, message, allowed=allowed, suggestion=suggestion)])

    def run(self, file: str, place: int) -> list[Row]:
        """The experiments of an earlier run that were told to its planner."""
        from orchestrator.fold import fold
        from orchestrator.header import loaded_from
        from orchestrator.journal import Journal

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
            numbers = [self._output(output, readings[output.key], cells, line) for output in _OUTPUTS]
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
        self, output: _Output, column: ArchiveColumn | None, cells: Mapping[str, str], line: int
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
