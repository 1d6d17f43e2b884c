"""What is acknowledged survives the power. The long form is `python -m tests.crash.power_loss`."""

from __future__ import annotations

import sys

import pytest

from tests.crash.power_loss import sweep

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the disk in between is written for POSIX")


def test_no_power_failure_loses_or_alters_an_acknowledged_record() -> None:
    tally = sweep(records=4, stride=1999, last_stride=499, draws_per_op=1, seed=1)
    assert tally.failures > 100
    assert tally.wrong is None


def test_a_journal_that_did_not_wait_for_its_disk_would_be_caught() -> None:
    tally = sweep(records=3, stride=5000, last_stride=5000, draws_per_op=0, seed=1, synchronous="OFF")
    assert any("is lost" in words or "were acknowledged" in words for words in tally.wrong or ())


@pytest.mark.long
def test_no_power_failure_at_any_byte_of_the_last_record_loses_one() -> None:
    assert sweep(records=24, stride=61, last_stride=1, draws_per_op=4, seed=1).wrong is None
