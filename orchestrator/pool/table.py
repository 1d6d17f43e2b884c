"""A table of past experiments as a pool of conditions that a planner may choose from."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from orchestrator.config.pool import InputColumn
from orchestrator.errors import ConfigError, Problem
from orchestrator.pool.conditions import Pool, PoolGoal, PoolVariable
from orchestrator.pool.formula import parse_formula
from orchestrator.pool.reading import Reading, Row, row_tests
from orchestrator.pool.replay import together
from orchestrator.pool.spec import LoadedSpec

_ROUNDING = 1e-12
"""What the rounding of a few sums and products may make of a number, as a share of it."""


def load_pool(path: Path, loaded: LoadedSpec) -> Pool:
    """Read a table as its pool file says.

    Raises ConfigError for a table that is missing, broken or empty, columns that it does not have, cells that are no
    numbers, and a pool that leaves nothing to choose; each by line and column of the file that is wrong.
    """
    reading = Reading(path, loaded)
    config = loaded.config
    keep = row_tests(reading, "filter", config.filter)
    failed = row_tests(reading, "failed_when", config.failed_when)
    columns = {name: entry.column or name for name, entry in config.inputs.items()}
    for name, column in columns.items():
        reading.known(column, "inputs", name, "column")
    for name, entry in config.outputs.items():
        reading.known(entry.column or name, "outputs", name, "column")
    reading.refuse()
    rows = [row for row in reading.rows if keep(row, all)]
    reading.refuse()
    if not rows:
        raise ConfigError([loaded.document.problem(("filter",), "no row of the table passes this filter")])
    raw = [_inputs(reading, row, columns) for row in rows]
    readings = [None if failed(row, any) else _outputs(reading, row) for row in rows]
    reading.refuse()
    variables, coordinates = _variables(reading, rows, raw)
    reading.refuse()
    grouped: dict[tuple[float, ...], list[tuple[float, ...]]] = {}
    for x, each in zip(coordinates, readings, strict=True):
        grouped.setdefault(x, []).extend([] if each is None else [each])
    combined = tuple(_combined(group, config.replicates) for group in grouped.values())
    values = tuple(_value(loaded, each) for each in combined)
    problems = _too_small(loaded, len(grouped), values)
    if problems:
        raise ConfigError(problems)
    return Pool(
        name=config.name,
        variables=variables,
        x=tuple(grouped),
        readings=combined,
        values=values,
        rows=len(rows),
        left_out=len(reading.rows) - len(rows),
        goals=_goals(loaded, values),
        initial=config.initial.points,
        budget=min(config.budget or len(grouped), len(grouped)),
    )


def _inputs(reading: Reading, row: Row, columns: dict[str, str]) -> dict[str, str | float | tuple[float, ...]]:
    """The inputs of one row by name: a level, a number, or the numbers of a vector."""
    found: dict[str, str | float | tuple[float, ...]] = {}
    for name, column in columns.items():
        entry = reading.config.inputs[name]
        cell = reading.cell(row, column)
        formula = None if entry.transform is None else parse_formula(entry.transform)
        if entry.kind == "categorical":
            if cell == "":
                reading.wrong(row, column, "a level is wanted here")
            found[name] = cell
        elif entry.kind == "vector":
            between = "," if reading.decimal == "." else ";"
            parts = [reading.as_number(part) for part in cell.strip("[]()").replace(between, " ").split()]
            numbers = [part for part in parts if part is not None]
            if len(numbers) != len(parts) or len(parts) != entry.length:
                reading.wrong(row, column, f"a list of {entry.length} numbers is wanted here")
            shown = [reading.transformed(row, column, number, formula) for number in numbers]
            found[name] = tuple(number for number in shown if number is not None)
        else:
            number = reading.number(row, column, formula)
            if number is not None and entry.kind == "integer" and not number.is_integer():
                reading.wrong(row, column, "a whole number is wanted here")
            if number is not None and entry.scale == "log" and number <= 0:
                reading.wrong(row, column, "a number above zero is wanted here, for a logarithmic scale")
            found[name] = math.nan if number is None else number
    return found


def _variables(
    reading: Reading, rows: Sequence[Row], raw: Sequence[dict[str, str | float | tuple[float, ...]]]
) -> tuple[tuple[PoolVariable, ...], list[tuple[float, ...]]]:
    """The variables with their ranges, and the coordinates of every row."""
    variables: list[PoolVariable] = []
    columns: list[list[float]] = []
    for name, entry in reading.config.inputs.items():
        cells = [each[name] for each in raw]
        if entry.kind == "categorical":
            levels = tuple(sorted({str(cell) for cell in cells}))
            variables.append(
                PoolVariable(name, "categorical", "linear", entry.unit, 0.0, len(levels) - 1.0, (), levels)
            )
            columns.append([float(levels.index(str(cell))) for cell in cells])
            continue
        parts = entry.length or 1
        for part in range(parts):
            numbers = [cell[part] if isinstance(cell, tuple) else float(cell) for cell in cells]
            label = f"{name}[{part}]" if entry.kind == "vector" else name
            variables.append(_numeric(label, entry, numbers))
            columns.append(numbers)
            for row, number in zip(rows, numbers, strict=True):
                if not variables[-1].lower <= number <= variables[-1].upper:
                    low, high = variables[-1].lower, variables[-1].upper
                    reading.wrong(row, entry.column or name, f"outside of the range {low:g} to {high:g}")
    return tuple(variables), list(zip(*columns, strict=True))


def _numeric(name: str, entry: InputColumn, numbers: Sequence[float]) -> PoolVariable:
    low, high = entry.range or (min(numbers), max(numbers))
    if entry.kind == "discrete":
        values = tuple(sorted(set(numbers)))
        return PoolVariable(name, "discrete", entry.scale, entry.unit, values[0], values[-1], values)
    kind: Literal["continuous", "integer"] = "integer" if entry.kind == "integer" else "continuous"
    return PoolVariable(name, kind, entry.scale, entry.unit, low, high)


def _outputs(reading: Reading, row: Row) -> tuple[float, ...]:
    """What one row says of the objective's outputs. All but the first may be blank."""
    found: list[float | None] = []
    for name in reading.config.objective.outputs:
        output = reading.config.outputs[name]
        column = output.column or name
        cell = reading.cell(row, column)
        formula = None if output.transform is None else parse_formula(output.transform)
        if cell in output.read_as or (cell != "" and reading.as_number(cell) not in output.absent):
            found.append(reading.number(row, column, formula, output.read_as))
            continue
        if not found:
            reading.wrong(row, column, "no reading here; say in failed_when or filter what that means")
        found.append(None)
    return tuple(math.nan if value is None else value for value in found)


def _combined(group: Sequence[tuple[float, ...]], how: Literal["mean", "median", "first"]) -> tuple[float, ...] | None:
    """The readings of the rows of one condition as one; an output counts where it was read."""
    if not group:
        return None
    combined = []
    for values in zip(*group, strict=True):
        known = [value for value in values if not math.isnan(value)]
        if not known:
            combined.append(math.nan)
        elif how == "first":
            combined.append(known[0])
        else:
            combined.append(statistics.median(known) if how == "median" else statistics.fmean(known))
    return tuple(combined)


def _value(loaded: LoadedSpec, readings: tuple[float, ...] | None) -> float | None:
    """What the readings of a condition come to."""
    if readings is None:
        return None
    if not loaded.desired:
        return readings[0]
    import numpy as np

    return float(together(loaded.desired).score_rows(np.array(readings)))


def _too_small(loaded: LoadedSpec, conditions: int, values: Sequence[float | None]) -> list[Problem]:
    document, points = loaded.document, loaded.config.initial.points
    if conditions <= points:
        return [document.problem(("initial", "points"), f"leaves nothing to choose from {conditions} conditions")]
    if all(value is None for value in values):
        return [document.problem(("failed_when",), "every condition of the table failed")]
    return []


def _goals(loaded: LoadedSpec, values: Sequence[float | None]) -> tuple[PoolGoal, ...]:
    wanted = loaded.config.objective
    if wanted.target is not None:
        from planners import is_within

        goals = []
        for written, target in zip(wanted.target.values, loaded.targets, strict=True):
            near = frozenset(
                i for i, v in enumerate(values) if v is not None and is_within(v, target, loaded.tolerance)
            )
            label = str(written).strip()
            goals.append(
                PoolGoal(
                    label, "target", wanted.target.output, target, loaded.tolerance, near, ((f"reach {label}", 1),)
                )
            )
        return tuple(goals)
    extreme = wanted.minimise or wanted.maximise or wanted.desirability
    if extreme is None:
        return ()
    sign = 1.0 if wanted.minimise is not None else -1.0
    known = {i: v for i, v in enumerate(values) if v is not None and not (loaded.desired and v <= 0.0)}
    if not known:
        path = ("objective", "desirability")
        raise ConfigError([loaded.document.problem(path, "no condition of the table is worth anything by this")])
    ranked = sorted(sign * v for v in known.values())
    count = min(max(1, math.ceil(extreme.top * len(values) - 1e-9)), len(ranked))
    # Where several conditions are equally good, any of them will do: none is among the best for where it stands, nor
    # for how the mean of its readings was rounded. What several outputs come to is a number of the order of one.
    edge, slack = ranked[count - 1], _ROUNDING if loaded.desired else 0.0
    best = frozenset(
        i for i, v in known.items() if sign * v < edge or math.isclose(sign * v, edge, rel_tol=_ROUNDING, abs_tol=slack)
    )
    # Shares that come to as many conditions are one step, called by the last of them.
    labels = {max(1, math.ceil(share * count - 1e-9)): share for share in extreme.find}
    steps = tuple((f"{100 * share:g} % of the best {count}", hits) for hits, share in labels.items())
    if loaded.desired:
        label, first = f"desirability of {', '.join(wanted.outputs)}", wanted.outputs[0]
        return (PoolGoal(label, "desirability", first, None, 0.0, best, steps, loaded.desired),)
    goal: Literal["minimise", "maximise"] = "minimise" if wanted.minimise is not None else "maximise"
    (output,) = wanted.outputs
    return (PoolGoal(f"{goal} {output}", goal, output, None, 0.0, best, steps),)
