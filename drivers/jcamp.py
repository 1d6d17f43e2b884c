"""JCAMP-DX spectra: ``(X++(Y..Y))`` in AFFN and ASDF, and ``(XY..XY)``.

R. S. McDonald and P. A. Wilks, Appl. Spectrosc. 42 (1988) 151, "JCAMP-DX: A Standard Form for Exchange of Infrared
Spectra in Computer Readable Form". The parsers on PyPI print a failed X or Y check and go on; here each check that the
standard provides is an error, because a file that fails it was damaged or not yet whole.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Final

from drivers.errors import ProtocolError

MAX_POINTS: Final = 1_000_000
_AFFN: Final = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]\d{1,3})?"
"""The standard's free-format number: an exponent carries its sign, or E would be the squeezed digit 5."""
_FREE: Final = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?"
_SQZ: Final = {**{c: str(i) for i, c in enumerate("@ABCDEFGHI")}, **{c: f"-{i}" for i, c in enumerate("abcdefghi", 1)}}
_DIF: Final = {**{c: str(i) for i, c in enumerate("%JKLMNOPQR")}, **{c: f"-{i}" for i, c in enumerate("jklmnopqr", 1)}}
_DUP: Final = {c: str(i) for i, c in enumerate("STUVWXYZs", 1)}
_TOKEN: Final = re.compile(
    rf"(?P<plain>{_AFFN})|(?P<sqz>[@A-Ia-i])(?P<sqz_rest>\d*\.?\d*)|(?P<dif>[%J-Rj-r])(?P<dif_rest>\d*\.?\d*)"
    r"|(?P<dup>[S-Zs])(?P<dup_rest>\d*)|(?P<gap>[\s,;]+)"
)
_TO_NM: Final[Mapping[str, Callable[[float], float]]] = {
    "NANOMETERS": lambda x: x,
    "NM": lambda x: x,
    "MICROMETERS": lambda x: 1e3 * x,
    "UM": lambda x: 1e3 * x,
    "1/CM": lambda x: 1e7 / x if x else math.inf,
    "CM-1": lambda x: 1e7 / x if x else math.inf,
}
"""Abscissa units to wavelengths in nm. The standard writes NANOMETERS, MICROMETERS and 1/CM."""


def parse_jcamp(text: str) -> tuple[list[float], list[float], str]:
    """Wavelengths in nm as the file orders them, ordinates times YFACTOR, and YUNITS; one block only.

    Raises ProtocolError for anything else, a missing ``##END=`` included.
    """
    records = _records(text)
    kind = records.get("DATATYPE", "").upper()
    if kind == "LINK":
        raise ProtocolError("the file holds several blocks", answered="DATA TYPE = LINK")
    if "END" not in records:
        raise ProtocolError("the file has no ##END=, it is not complete")
    unit = records.get("XUNITS", "").upper().removesuffix(".").strip()
    if unit not in _TO_NM:
        raise ProtocolError(f"abscissa unit {unit or 'missing'}; understood: {', '.join(_TO_NM)}")
    for label in ("XYDATA", "XYPOINTS"):
        if label in records:
            form, _, table = records[label].partition("\n")
            break
    else:
        raise ProtocolError("the file has neither XYDATA nor XYPOINTS")
    form = re.sub(r"\s", "", form).upper()
    if form == "(X++(Y..Y))":
        x, y = _equidistant(records, table)
    elif form == "(XY..XY)":
        x, y = _pairs(records, table)
    else:
        raise ProtocolError(f"the form of the data, {form or 'missing'}, is not understood")
    return [_TO_NM[unit](value) for value in x], y, records.get("YUNITS", "").strip()


def _records(text: str) -> dict[str, str]:
    """Labelled data records up to ``##END=``. Labels compare without case, blanks and ``-/_``."""
    records: dict[str, str] = {}
    label = ""
    for raw in text.splitlines():
        line = raw.partition("$$")[0].rstrip() if not raw.startswith("##") else raw.rstrip()
        if line.startswith("##"):
            head, equals, value = line[2:].partition("=")
            if not equals:
                raise ProtocolError("a label without =", answered=line[:80])
            label = re.sub(r"[\s\-/_]", "", head).upper()
            if label and label in records:
                raise ProtocolError(f"the label {label} stands twice", answered=line[:80])
            records[label] = value.partition("$$")[0].strip()
            if label == "END":
                break
        elif label and line.strip():
            records[label] += "\n" + line
    return records


def _number(records: Mapping[str, str], label: str, default: float | None = None) -> float:
    text = records.get(label, "").strip()
    if not text and default is not None:
        return default
    if re.fullmatch(_FREE, text) is None:
        raise ProtocolError(f"{label} is no number", answered=text[:40])
    value = float(text)
    if not math.isfinite(value):
        raise ProtocolError(f"{label} is not finite", answered=text[:40])
    return value


def _count(records: Mapping[str, str]) -> int:
    count = _number(records, "NPOINTS")
    if count != int(count) or not 2 <= count <= MAX_POINTS:
        raise ProtocolError(f"NPOINTS {count:g} is outside 2 to {MAX_POINTS}")
    return int(count)


def _equidistant(records: Mapping[str, str], table: str) -> tuple[list[float], list[float]]:
    count = _count(records)
    first_x, last_x = _number(records, "FIRSTX"), _number(records, "LASTX")
    x_factor, y_factor = _number(records, "XFACTOR", 1.0), _number(records, "YFACTOR", 1.0)
    step = (last_x - first_x) / (count - 1)
    if step == 0.0:
        raise ProtocolError("FIRSTX and LASTX are equal")
    y: list[float] = []
    check: float | None = None
    for line in table.splitlines():
        text = line.strip()
        match = re.match(_AFFN, text)
        if match is None:
            raise ProtocolError("a line of the table does not begin with a number", answered=text[:80])
        values, differences = _ordinates(text[match.end() :], count + 1)
        if check is not None:
            # The line after one that ended in differences repeats its last value.
            if not values or abs(values[0] - check) > 1e-9 * max(1.0, abs(check)):
                raise ProtocolError("the Y check fails", asked=check, answered=text[:80])
            values = values[1:]
        at = len(y) - (1 if check is not None else 0)
        # X values in the table are rounded to the digits they are written with.
        tolerance = abs(x_factor) * _quantum(match[0]) + 0.5 * abs(step)
        if not abs(float(match[0]) * x_factor - (first_x + at * step)) <= tolerance < math.inf:
            raise ProtocolError("the X check fails", asked=first_x + at * step, answered=text[:80])
        y.extend(values)
        check = y[-1] if differences and y else None
        if len(y) > count:
            break
    if len(y) != count:
        raise ProtocolError(f"{len(y)} ordinates, NPOINTS says {count}")
    y = [value * y_factor for value in y]
    if "FIRSTY" in records:
        first_y = _number(records, "FIRSTY")
        if abs(first_y - y[0]) > abs(y_factor) + 1e-3 * abs(first_y):
            raise ProtocolError("FIRSTY is not the first ordinate", asked=first_y, answered=y[0])
    return [first_x + index * step for index in range(count)], y


def _quantum(number: str) -> float:
    """One unit of the last digit a number is written with."""
    digits, _, exponent = number.lower().partition("e")
    return float(f"1e{int(exponent or 0) - len(digits.partition('.')[2])}")


def _ordinates(text: str, most: int) -> tuple[list[float], bool]:
    """Ordinates of one line in any mixture of AFFN, PAC, SQZ, DIF and DUP; and whether it ended in a difference."""
    values: list[float] = []
    difference: float | None = None
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise ProtocolError(f"{text[at]!r} has no meaning in a table", answered=text[:80])
        at = match.end()
        if match["gap"]:
            continue
        if match["plain"]:
            values.append(float(match["plain"]))
            difference = None
        elif match["sqz"]:
            values.append(float(_SQZ[match["sqz"]] + match["sqz_rest"]))
            difference = None
        elif not values:
            raise ProtocolError("a line begins with a difference or a repetition", answered=text[:80])
        elif match["dif"]:
            difference = float(_DIF[match["dif"]] + match["dif_rest"])
            values.append(values[-1] + difference)
        else:
            repeats = int(_DUP[match["dup"]] + match["dup_rest"]) - 1
            if len(values) + repeats > most:
                raise ProtocolError("a line holds more ordinates than NPOINTS", answered=text[:80])
            for _ in range(repeats):
                values.append(values[-1] + (difference or 0.0))
        if len(values) > most:
            raise ProtocolError("a line holds more ordinates than NPOINTS", answered=text[:80])
    return values, difference is not None


def _pairs(records: Mapping[str, str], table: str) -> tuple[list[float], list[float]]:
    x_factor, y_factor = _number(records, "XFACTOR", 1.0), _number(records, "YFACTOR", 1.0)
    numbers: list[float] = []
    for line in table.splitlines():
        for word in re.split(r"[\s,;]+", line.strip()):
            if word:
                if re.fullmatch(_FREE, word) is None:
                    raise ProtocolError(f"{word[:20]!r} is no number", answered=line[:80])
                numbers.append(float(word))
    if len(numbers) % 2 or len(numbers) > 2 * MAX_POINTS:
        raise ProtocolError(f"{len(numbers)} numbers make no list of pairs")
    x, y = numbers[::2], numbers[1::2]
    if "NPOINTS" in records and _count(records) != len(x):
        raise ProtocolError(f"{len(x)} pairs, NPOINTS says {_count(records)}")
    return [value * x_factor for value in x], [value * y_factor for value in y]
