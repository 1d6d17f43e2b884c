"""How tables of people's own are written: what stands between cells, and what before the decimals of a number."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal

DecimalMark = Literal[".", ","]

_SAYS_WHAT_IS_BETWEEN = re.compile(r'"?sep=(.)"?[;,\s]*', re.IGNORECASE)


def wrong_dialect(delimiter: str, decimal: DecimalMark) -> tuple[str, str, str] | None:
    """The key of a table's settings that cannot be so, why, and what was perhaps meant; None where both can be."""
    if delimiter in '\r\n"':
        return "delimiter", "line ends and quotes cannot stand between cells", ""
    if delimiter == decimal:
        key, other = ("decimal", 'delimiter: ";"') if decimal == "," else ("delimiter", "")
        return key, "what stands between cells cannot stand before decimals too", other
    return None


def no_text(data: bytes) -> str:
    """What is said of a table that is not UTF-8 text, by how it begins."""
    if data.startswith(b"PK\x03\x04"):
        return "this is a workbook, and the table is to be text: save it as CSV (UTF-8)"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "the table is UTF-16 text, and UTF-8 is wanted: save it as CSV (UTF-8)"
    return "the table is not UTF-8 text: save it as CSV (UTF-8)"


def said_delimiter(first_line: str) -> str | None:
    """What stands between cells as a line ``sep=;`` says, which programs write above a table for Excel; None where the
    line is none of these. Such a line is no part of the table."""
    found = _SAYS_WHAT_IS_BETWEEN.fullmatch(first_line)
    return None if found is None else found[1]


def as_setting(delimiter: str) -> str:
    """A delimiter as it is written in YAML."""
    written = "\\t" if delimiter == "\t" else delimiter
    return f'delimiter: "{written}"'


def meant_delimiter(names: Sequence[str]) -> str:
    """The setting that was perhaps meant where the names of all columns came out as one; empty where they did not."""
    if len(names) != 1:
        return ""
    most = max((";", "\t", ","), key=names[0].count)
    return as_setting(most) if most in names[0] else ""


def with_point(cell: str, decimal: DecimalMark) -> str:
    """A number with a point before its decimals; empty where a comma is to stand there and the cell has a point: 1.234
    with a decimal comma is a thousand to some and one to others."""
    if decimal == ".":
        return cell
    return "" if "." in cell else cell.replace(",", ".")


def as_number(cell: str, decimal: DecimalMark = ".") -> float | None:
    """The finite number that a cell holds, if it holds one. Python's ``1_5`` is none: no instrument means 15 by it."""
    try:
        value = math.nan if "_" in cell else float(with_point(cell, decimal))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
