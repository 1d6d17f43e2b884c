"""What `lumiflow status` says of a journal."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from orchestrator.cli.inspecting import journal_status
from orchestrator.clock.virtual_time import UtcClock, run_virtual
from orchestrator.journal.journal import Journal


def test_a_journal_copied_without_its_log_says_what_is_missing(tmp_path: Path) -> None:
    async def copy_while_it_is_written() -> None:
        with Journal.create(tmp_path / "run.sqlite", UtcClock(asyncio.get_running_loop())) as journal:
            assert journal_status(tmp_path / "run.sqlite").text().endswith(": nothing has happened yet")
            await journal.append("run_started", {"campaign_name": "short"})
            shutil.copy(tmp_path / "run.sqlite", tmp_path / "copy.sqlite")

    run_virtual(copy_while_it_is_written())
    assert journal_status(tmp_path / "run.sqlite").events == 1
    words = journal_status(tmp_path / "copy.sqlite").text()
    assert words.endswith(
        "nothing has happened yet; if this is the copy of a journal in use, copy.sqlite-wal belongs beside it"
    )
