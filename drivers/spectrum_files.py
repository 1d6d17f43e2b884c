"""Spectra out of the files that instruments' software exports: delimited text, and JCAMP-DX in :mod:`drivers.jcamp`.

Pure functions of the file's bytes. Everything that is wrong with a file raises ProtocolError, with the line.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from drivers.errors import ProtocolError
from drivers.jcamp import parse_jcamp

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MIN_POINTS: Final = 8
"""A shorter block of numbers is taken for a header."""
MAX_BYTES: Final = 64 * 1024 * 1024
_DIALECTS: Final = ((";", "."), (";", ","), ("\t", "."), ("\t", ","), (",", "."), (None, "."), (None, ","))
"""Delimiter (None: any run of blanks) and decimal sign, in the order of preference."""
_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?")
_BYTE_ORDER_MARKS: Final = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)


@dataclass(frozen=True)
class Spectrum:
    """Wavelengths in nm, strictly rising, and the ordinate in the file's own unit; both of shape (points,)."""

    wavelengths_nm: NDArray[np.float64]
    intensities: NDArray[np.float64]
    ordinate: str = ""


def parse_spectrum(data: bytes) -> Spectrum:
    """A spectrum from a file's bytes; JCAMP-DX is recognised by its first label. Raises ProtocolError."""
    if len(data) > MAX_BYTES:
        raise ProtocolError(f"the file has {len(data)} bytes, more than any spectrum")
    text = _decoded(data)
    if text.lstrip().upper().startswith("##TITLE"):
        x_nm, y, ordinate = parse_jcamp(text)
        return _spectrum(x_nm, y, ordinate)
    x_nm, y = parse_delimited(text)
    return _spectrum(x_nm, y, "")


def parse_delimited(text: str) -> tuple[list[float], list[float]]:
    """First two columns of the one block of numbers in ``text``: wavelengths in nm and intensities.

    Comma, semicolon, tab or blanks between the columns; point or comma as decimal sign; any header, and a footer
    without numbers. Raises ProtocolError, among others when a line in the midst of the numbers is none: a damaged line
    must not shorten a spectrum in silence.
    """
    lines = text.splitlines()
    block: list[tuple[float, float]] = []
    rows: list[tuple[float, float] | None] = []
    end = 0
    for delimiter, decimal in _DIALECTS:
        candidates = [_row(line, delimiter, decimal) for line in lines]
        run, after = _longest_block(candidates)
        if len(run) > len(block):
            block, end, rows = run, after, candidates
    if len(block) < MIN_POINTS:
        raise ProtocolError(f"no block of at least {MIN_POINTS} lines with two numbers", answered=text[:80])
    for number, line in enumerate(lines[end:], start=end + 1):
        if re.match(r"\s*[+-]?[.,]?\d", line):
            raise ProtocolError(f"line {number} is neither part of the spectrum nor a footer", answered=line[:80])
    _check_head(rows[: end - len(block)], block)
    return [x for x, _ in block], [y for _, y in block]


def _check_head(head: Sequence[tuple[float, float] | None], block: Sequence[tuple[float, float]]) -> None:
    """A header may hold numbers, but none that continue the wavelengths backwards: those were cut off by damage."""
    step_nm = block[1][0] - block[0][0]
    for number, row in enumerate(head, start=1):
        if row is not None and step_nm and 0.0 < (block[0][0] - row[0]) / step_nm < 2 * MIN_POINTS:
            raise ProtocolError(f"the spectrum is interrupted after line {number}", answered=f"{row[0]:g} {row[1]:g}")


def _longest_block(rows: Sequence[tuple[float, float] | None]) -> tuple[list[tuple[float, float]], int]:
    """The longest run of rows that are numbers, and the index of the line after it."""
    best: list[tuple[float, float]] = []
    best_end = 0
    run: list[tuple[float, float]] = []
    for index, row in enumerate((*rows, None)):
        if row is not None:
            run.append(row)
            continue
        if len(run) > len(best):
            best, best_end = run, index
        run = []
    return best, best_end


def _row(line: str, delimiter: str | None, decimal: str) -> tuple[float, float] | None:
    cells = [cell.strip().strip('"') for cell in line.split(delimiter)]
    if len(cells) < 2:
        return None
    numbers: list[float] = []
    for cell in cells[:2]:
        if decimal == ",":
            if "." in cell:
                return None
            cell = cell.replace(",", ".")  # noqa: PLW2901 - the same cell in another spelling
        if _NUMBER.fullmatch(cell) is None:
            return None
        numbers.append(float(cell))
    return numbers[0], numbers[1]


def _spectrum(x_nm: Sequence[float], y: Sequence[float], ordinate: str) -> Spectrum:
    import numpy as np

    if len(x_nm) < MIN_POINTS:
        raise ProtocolError(f"{len(x_nm)} points are no spectrum")
    if len(x_nm) > 1 and x_nm[0] > x_nm[-1]:
        x_nm, y = x_nm[::-1], y[::-1]
    wavelengths, intensities = np.asarray(x_nm, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if not (np.all(np.isfinite(wavelengths)) and np.all(np.isfinite(intensities))):
        raise ProtocolError("the spectrum holds numbers that are not finite")
    if not np.all(np.diff(wavelengths) > 0):
        at = int(np.argmax(np.diff(wavelengths) <= 0))
        raise ProtocolError(f"the wavelengths neither rise nor fall throughout, at {wavelengths[at]:g} nm")
    if not 10.0 <= wavelengths[0] < wavelengths[-1] <= 1e6 or not math.isfinite(float(wavelengths[-1])):
        raise ProtocolError(f"{wavelengths[0]:g} to {wavelengths[-1]:g} nm is no range of wavelengths")
    return Spectrum(wavelengths, intensities, ordinate)


def _decoded(data: bytes) -> str:
    for mark, encoding in _BYTE_ORDER_MARKS:
        if data.startswith(mark):
            try:
                return data[len(mark) :].decode(encoding)
            except UnicodeDecodeError:
                raise ProtocolError(f"the file begins as {encoding} and does not go on so") from None
    if b"\0" in data:
        raise ProtocolError("the file is not text", answered=data[:40])
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        # Headers of older instruments carry °, µ and umlauts of a Windows code page; the numbers are ASCII.
        return data.decode("latin-1")
