"""A disk that is full, or fails once, ends a campaign safely. The long form is `python -m tests.crash.disk_errors`."""

from __future__ import annotations

import sys

import pytest

from tests.crash.disk_errors import sweep

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the disk in between is written for POSIX")


def test_wherever_the_disk_fails_nothing_more_is_ordered_and_the_rig_ends_safe() -> None:
    runs, answers, wrong = sweep(stride=97, first=48)
    assert wrong == []
    assert runs >= 6
    assert answers["ended safely with a JournalError"] >= runs - 1  # what fails after the last commit harms nothing


@pytest.mark.long
def test_at_every_single_operation() -> None:
    assert sweep(stride=1)[2] == []
