"""The journal of a rig itself may be damaged: that rig is left alone until it is recovered, and the others work."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import JournalError
from orchestrator.journal.journal import recover
from orchestrator.journal.store import JournalDamaged
from tests.orchestrator.daemon.desk import Desk, daemon_file, life


async def works(desk: Desk) -> None:
    await desk.submit(1)
    await desk.until("idle")


def damaged(journal: Path) -> None:
    content = bytearray(journal.read_bytes())
    content[content.rindex(b"submit")] ^= 1
    journal.write_bytes(content)


def test_a_rig_whose_own_journal_is_damaged_is_left_alone_and_the_other_works(tmp_path: Path) -> None:
    path = daemon_file(tmp_path, "bench", "other")
    journal = tmp_path / "runs" / "rigs" / "bench.sqlite"

    async def half(desk: Desk) -> None:
        bench = await desk.rig()
        assert bench.state == "fault"
        assert "the rig's journal cannot be read" in bench.detail
        assert "lumiflow recover" in bench.detail
        assert {syringe.left_ul for syringe in bench.syringes.values()} == {None}
        for verb, more in (("resume", {}), ("clear", {}), ("refill", {"pump": "cs"}), ("abort", {"give_up": True})):
            with pytest.raises(JournalError, match="lumiflow recover"):
                await desk.ask(verb, **more)
        await desk.submit(1, rig="other")
        await desk.until("idle", rig="other")
        assert (await desk.rig()).state == "fault"

    life(path, works)
    damaged(journal)
    kept = journal.read_bytes()
    life(path, half)
    assert journal.read_bytes() == kept
    assert recover(journal).kept > 0
    life(path, works)


def test_a_daemon_whose_every_rig_has_a_damaged_journal_does_not_start(tmp_path: Path) -> None:
    path = daemon_file(tmp_path)
    life(path, works)
    damaged(tmp_path / "runs" / "rigs" / "bench.sqlite")
    with pytest.raises(JournalDamaged, match="lumiflow recover"):
        life(path, works)
