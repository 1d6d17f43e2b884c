"""Results in the documents: what is written between two marks, and what made it."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from collections.abc import Iterable
from pathlib import Path


def put_between(document: Path, begin: str, end: str, text: str) -> None:
    """Write a text between two marks of a document, in the place of what stands there. Exits as `check_marks` does."""
    check_marks(document, begin, end)
    before, _, rest = document.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    document.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def check_marks(document: Path, begin: str, end: str) -> None:
    """Exit with a line of words unless a document is there and has both marks once, in this order: what is written
    between them replaces what stands there, and nothing else."""
    if not document.is_file():
        raise SystemExit(f"{document}: there is no such document")
    text = document.read_text(encoding="utf-8")
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise SystemExit(f"{document}: the lines {begin} and {end} must stand in it once each, in this order")


def made_with(libraries: Iterable[str]) -> str:
    """Date, system, and the versions of Python and of some distributions, on one line."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in libraries)
    return (
        f"{datetime.datetime.now(datetime.UTC).date()}, {platform.system()} {platform.machine()}, Python "
        f"{platform.python_version()}, {versions}"
    )
