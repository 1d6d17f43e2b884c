"""No flipped bit of a journal goes unnoticed. The long form is `python -m tests.crash.bit_flips --flips 1000`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from orchestrator.file_lock import lock_path
from orchestrator.journal.journal import Journal, JournalDamaged
from tests.crash.bit_flips import journal, sweep
from tests.crash.power_loss import NAME

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its journals are killed the POSIX way")


def test_every_flip_is_noticed_and_what_precedes_the_damage_is_kept() -> None:
    at_rest, in_flight = sweep(count=40, records=30, seed=2)
    assert at_rest.unnoticed == []
    assert in_flight.unnoticed == []
    assert at_rest.answers["record named"] > 0
    assert at_rest.answers["named outside the records"] > 0


def test_a_log_that_ends_before_what_was_acknowledged_is_damaged_and_not_merely_short(tmp_path: Path) -> None:
    _, killed = journal(tmp_path, 30)
    folder = tmp_path / "found"
    folder.mkdir()
    for name, content in killed.items():
        (folder / name).write_bytes(content)
    (folder / f"{NAME}-wal").write_bytes(killed[f"{NAME}-wal"][:32])  # its header, and no page
    with pytest.raises(JournalDamaged, match="is lost: the journal had come to record 30"):
        Journal.open(folder / NAME)
    lock_path(folder / NAME).unlink()  # without the mark it is what a power failure leaves: sound, and shorter
    with Journal.open(folder / NAME) as opened:
        assert 0 < opened.seq < 30


@pytest.mark.long
def test_a_thousand_flips_are_noticed() -> None:
    at_rest, in_flight = sweep(count=1000, records=60, seed=1)
    assert at_rest.unnoticed == []
    assert in_flight.unnoticed == []
