"""Words for an output that lacks a sign: what its encoding cannot say is written with the signs of ASCII.

A report of numbers may not end in the middle for a minus sign that cp1252 or latin-1 lacks, nor lose that minus. The
encoding itself stays as it is: whoever chose it reads the output by it.
"""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata
from collections.abc import Mapping
from typing import Final

_NAME: Final = "lumiflow.signs"

_INSTEAD: Mapping[str, str] = {
    "\N{MINUS SIGN}": "-",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{PLUS-MINUS SIGN}": "+-",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{GREATER-THAN OR EQUAL TO}": ">=",
    "\N{DEGREE SIGN}": "deg",
    "\N{MICRO SIGN}": "u",
    "\N{GREEK SMALL LETTER MU}": "u",
}


def write_what_can_be_read() -> None:
    """From now on standard output and standard error take every text. Streams that are no files are left alone."""
    codecs.register_error(_NAME, _instead)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_NAME)


def in_ascii(text: str) -> str:
    """A text in ASCII: signs by others of one meaning, letters without their accents, ``?`` for what has neither."""
    return "".join(sign if sign.isascii() else _INSTEAD.get(sign) or _plain(sign) for sign in text)


def _plain(sign: str) -> str:
    return unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode() or "?"


def _instead(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return in_ascii(error.object[error.start : error.end]), error.end
