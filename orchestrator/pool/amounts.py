"""Numbers of a pool file, written with the unit of their output."""

from __future__ import annotations

import math
import re

from orchestrator.config.pool import Amount
from orchestrator.errors import Problem
from orchestrator.yaml_source import Document

LARGEST = 1e100
"""Beyond this, on either side of zero, planners count a reading as absent, so a table is not judged by it either."""
TOO_LARGE = f"a number beyond {LARGEST:g} cannot be reckoned with"
_AMOUNT = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*")


def amount_at(
    document: Document, path: tuple[str | int, ...], value: Amount, unit: str, problems: list[Problem]
) -> float:
    """The number of an amount; where it is none, or has another unit, a problem is added and zero is given."""
    number = read_amount(value, unit)
    if number is not None and abs(number) > LARGEST:
        problems.append(document.problem(path, TOO_LARGE))
        return 0.0
    if number is None:
        example = f'"{2.5:g} {unit}"' if unit else "2.5"
        message = f"a number in {unit} is wanted here" if unit else "a bare number is wanted here"
        problems.append(document.problem(path, message, allowed=f"for example {example}"))
    return 0.0 if number is None else number


def read_amount(value: Amount, unit: str) -> float | None:
    """The number of an amount, infinite where it is too large to be one; None where it is none, or is written with
    another unit than the output's."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return None if unit else as_float(value)
    match = _AMOUNT.fullmatch(value)
    return float(match[1]) if match and match[2] == unit else None


def as_float(value: float) -> float:
    """A number as a float; infinite where it is a whole number too large to be one."""
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def many(count: int, what: str) -> str:
    """A count with what is counted: 1 row, 2 rows."""
    return f"1 {what}" if count == 1 else f"{count} {what}s"
