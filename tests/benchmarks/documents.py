"""Results in the documents: what is written between two marks, and what made it."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from collections.abc import Iterable
from pathlib import Path


def put_between(document: Path, begin: str, end: str, text: str) -> None:
    """Write a text between two marks of a document, in the place of what stands there."""
    before, _, rest = document.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    document.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def made_with(libraries: Iterable[str]) -> str:
    """Date, system, and the versions of Python and of some distributions, on one line."""
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in libraries)
    return (
        f"{datetime.datetime.now(datetime.UTC).date()}, {platform.system()} {platform.machine()}, Python "
        f"{platform.python_version()}, {versions}"
    )
