"""The report of a run: one HTML file with everything in it, computed from the journal alone.

It needs no network and no other file, follows the reader's light or dark setting, and prints.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from orchestrator.errors import UsageRefused
from orchestrator.journal.store import is_journal

__all__ = ["render_report", "write_report"]

_MARK = b"Lumiflow report</title>"
_MARKED_WITHIN = 4096


def write_report(journal_path: Path, out_html: Path) -> Path:
    """Write the report of a journal, finished or not; returns its path.

    Raises UsageRefused where something that is no report has the name that is wanted, JournalError, OSError.
    """
    if is_journal(out_html):
        raise UsageRefused(f"{out_html} is a journal, and a journal is never overwritten: name another file")
    if out_html.exists() and not _replaceable(out_html):
        raise UsageRefused(f"{out_html} is there already, and is no report that a new one could replace")
    text = render_report(journal_path)
    draft = out_html.with_name(out_html.name + ".new")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(out_html)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise
    return out_html


def _replaceable(path: Path) -> bool:
    """Whether it is an empty file, or an earlier report. A folder is for the system to refuse."""
    if not path.is_file():
        return path.is_dir()
    with path.open("rb") as file:
        begins = file.read(_MARKED_WITHIN)
    return not begins or _MARK in begins


def render_report(journal_path: Path, explained: Mapping[str, Any] | None = None) -> str:
    """The report as HTML text. Raises JournalError.

    `explained`: what `orchestrator.report.explaining` says of the run, where somebody has worked it out already.
    """
    from orchestrator.report.explaining import explain_run
    from orchestrator.report.gather import gather
    from orchestrator.report.page import render

    material = gather(journal_path)
    return render(material, explain_run(material.state) if explained is None else explained)
