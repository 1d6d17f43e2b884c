"""The report of a run: one HTML file with everything in it, computed from the journal alone.

It needs no network and no other file, follows the reader's light or dark setting, and prints.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["render_report", "write_report"]


def write_report(journal_path: Path, out_html: Path) -> Path:
    """Write the report of a journal, finished or not; returns its path. Raises JournalError, OSError."""
    text = render_report(journal_path)
    draft = out_html.with_name(out_html.name + ".new")
    draft.write_text(text, encoding="utf-8")
    draft.replace(out_html)
    return out_html


def render_report(journal_path: Path) -> str:
    """The report as HTML text. Raises JournalError."""
    from orchestrator.report.gather import gather
    from orchestrator.report.page import render

    return render(gather(journal_path))
