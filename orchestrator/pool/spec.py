"""What a table of past experiments means: loading a pool file with every problem at its place."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from orchestrator.config import json_schema
from orchestrator.config.messages import closest, of_another_kind, problems_of
from orchestrator.config.pool import Amount, InputColumn, OutputColumn, PoolSpec
from orchestrator.config.table_dialect import wrong_dialect
from orchestrator.errors import ConfigError, Problem
from orchestrator.pool.amounts import LARGEST, TOO_LARGE, amount_at
from orchestrator.pool.conditions import Desired
from orchestrator.pool.desired import desired_outputs
from orchestrator.pool.formula import FormulaError, parse_formula
from orchestrator.yaml_source import Document, parse, read_text


@dataclass(frozen=True)
class LoadedSpec:
    """A pool file that makes sense by itself. ``targets`` and ``tolerance`` are in the unit of the output, what is
    ``desired`` in those of its outputs."""

    config: PoolSpec
    document: Document
    targets: tuple[float, ...]
    tolerance: float
    desired: tuple[Desired, ...] = ()


def load_spec(path: Path) -> LoadedSpec:
    """Read a pool file. Raises ConfigError with everything that is wrong with it, by line and column."""
    # As the table is read: letters with marks above them are written in two ways that look the same.
    document = parse(unicodedata.normalize("NFC", read_text(path)), str(path))
    if (other := of_another_kind(document, "pool")) is not None:
        raise ConfigError([other])
    try:
        config = PoolSpec.model_validate(document.root.plain())
    except ValidationError as error:
        raise ConfigError(problems_of(error, document, json_schema("pool"))) from None
    problems = [*_conditions(document, config), *_formulas(document, config), *_inputs(document, config)]
    if (dialect := wrong_dialect(config.table.delimiter, config.table.decimal)) is not None:
        key, message, meant = dialect
        problems.append(document.problem(("table", key), message, suggestion=meant))
    targets, tolerance, wrong = _goals(document, config)
    desired, more = desired_outputs(document, config)
    problems += [*wrong, *more, *([] if wrong else _columns(document, config))]
    problems += _arms(document, config)
    if config.budget is not None and config.budget < config.initial.points:
        problems.append(document.problem(("budget",), f"fewer than the {config.initial.points} initial points"))
    if problems:
        raise ConfigError(sorted(problems, key=lambda problem: (problem.line, problem.column)))
    return LoadedSpec(config, document, targets, tolerance, desired)


def _conditions(document: Document, config: PoolSpec) -> list[Problem]:
    problems = []
    for section, conditions in (("filter", config.filter), ("failed_when", config.failed_when)):
        for index, condition in enumerate(conditions):
            tests = (condition.equals, condition.one_of, condition.below, condition.above, condition.blank)
            if sum(test is not None for test in tests) != 1:
                message = "exactly one test must stand beside the column"
                allowed = "equals, one_of, below, above, blank"
                problems.append(document.problem((section, index), message, offending="", allowed=allowed))
    return problems


def _formulas(document: Document, config: PoolSpec) -> list[Problem]:
    problems = []
    columns: list[tuple[str, Mapping[str, InputColumn] | Mapping[str, OutputColumn]]] = [
        ("inputs", config.inputs),
        ("outputs", config.outputs),
    ]
    for section, entries in columns:
        for name, entry in entries.items():
            if entry.transform is None:
                continue
            try:
                parse_formula(entry.transform)
            except FormulaError as error:
                allowed = "numbers, x, + - * / ** ( ) and log, log10, exp, sqrt"
                problems.append(document.problem((section, name, "transform"), str(error), allowed=allowed))
    return problems


def _inputs(document: Document, config: PoolSpec) -> list[Problem]:
    problems = []
    for name, entry in config.inputs.items():
        path = ("inputs", name)
        if (entry.kind == "vector") != (entry.length is not None):
            message = "a vector needs a length" if entry.kind == "vector" else f"a {entry.kind} input has no length"
            problems.append(document.problem((*path, "length"), message, offending=""))
        if entry.kind == "categorical":
            for key, given in (("transform", entry.transform), ("range", entry.range)):
                if given is not None:
                    problems.append(document.problem((*path, key), f"a categorical input has no {key}", at_key=True))
            if entry.scale == "log":
                problems.append(document.problem((*path, "scale"), "a categorical input has no scale"))
        if entry.kind == "vector" and entry.scale == "log":
            problems.append(document.problem((*path, "scale"), "a vector has no scale"))
        if entry.kind == "integer" and not all(end.is_integer() for end in entry.range or ()):
            problems.append(document.problem((*path, "range"), "an integer input needs whole ends"))
        if entry.kind == "discrete" and entry.range is not None:
            problems.append(document.problem((*path, "range"), "the values of a discrete input are its range"))
        if entry.range is not None:
            low, high = entry.range
            if max(abs(low), abs(high)) > LARGEST:
                problems.append(document.problem((*path, "range"), TOO_LARGE))
            elif not low < high:
                problems.append(document.problem((*path, "range"), "the lower end must lie below the upper one"))
            elif entry.scale == "log" and low <= 0:
                problems.append(document.problem((*path, "range"), "a logarithmic scale needs a range above zero"))
    return problems


def _columns(document: Document, config: PoolSpec) -> list[Problem]:
    """Inputs that are told one column twice, or what is to be found."""
    problems = []
    outputs = [name for name in config.objective.outputs if name in config.outputs]
    read = {one_line(config.outputs[name].column or name): f"the output {name}" for name in outputs}
    for name, entry in config.inputs.items():
        column = one_line(entry.column or name)
        if column in read:
            message = f"the column of {read[column]} too: each input needs a column of its own"
            problems.append(document.problem(("inputs", name, "column"), message, offending=column))
        read.setdefault(column, f"the input {name}")
    return problems


_GOALS = ("target", "minimise", "maximise", "desirability")


def _goals(document: Document, config: PoolSpec) -> tuple[tuple[float, ...], float, list[Problem]]:
    wanted = config.objective
    given = [key for key in _GOALS if getattr(wanted, key) is not None]
    if len(given) != 1:
        message = "exactly one goal must stand here"
        return (), 0.0, [document.problem(("objective",), message, offending="", allowed=", ".join(_GOALS))]
    (key,) = given
    unknown = [output for output in wanted.outputs if output not in config.outputs]
    if unknown:
        last = ("outputs", unknown[0]) if key == "desirability" else ("output",)
        near, allowed = closest(unknown[0], config.outputs), ", ".join(config.outputs)
        path, at_key = ("objective", key, *last), key == "desirability"
        problem = document.problem(path, "no such output", at_key=at_key, allowed=allowed, suggestion=near)
        return (), 0.0, [problem]
    if wanted.target is None:
        return (), 0.0, []
    unit = config.outputs[wanted.target.output].unit
    problems: list[Problem] = []

    def amount(value: Amount, *path: str | int) -> float:
        return amount_at(document, ("objective", "target", *path), value, unit, problems)

    targets = tuple(amount(value, "values", index) for index, value in enumerate(wanted.target.values))
    before = len(problems)
    tolerance = amount(wanted.target.tolerance, "tolerance")
    if len(problems) == before and tolerance <= 0:
        problems.append(document.problem(("objective", "target", "tolerance"), "out of range", allowed="above zero"))
    if not problems and len(set(targets)) != len(targets):
        problems.append(document.problem(("objective", "target", "values"), "a value is listed twice"))
    return targets, tolerance, problems


def _arms(document: Document, config: PoolSpec) -> list[Problem]:
    problems = []
    for index, arm in enumerate(config.arms):
        problem = arm_problem(arm)
        if problem:
            allowed, near = problem
            problems.append(document.problem(("arms", index), "no such arm", allowed=allowed, suggestion=near))
        elif arm in config.arms[:index]:
            problems.append(document.problem(("arms", index), "an arm is listed twice"))
    return problems


def one_line(text: str) -> str:
    """Text with a single blank for whatever space and line breaks are in it, as names of columns are compared."""
    return " ".join(text.split())


def arm_problem(arm: str) -> tuple[str, str] | None:
    """What is allowed and what was likely meant, where no planner has this name; None where one has."""
    from planners import strategy_names

    known = strategy_names()
    return None if arm in known else (", ".join(known), closest(arm, known))
