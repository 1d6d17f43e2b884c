"""What a daemon asks of Python before it says that it is up."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator

import pytest

from orchestrator.daemon.promptness import SWITCH_S, stay_prompt


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    switch_s = sys.getswitchinterval()
    yield
    sys.setswitchinterval(switch_s)
    gc.unfreeze()


def test_a_busy_thread_gives_way_soon_and_no_collection_looks_at_what_was_loaded() -> None:
    stay_prompt()
    assert sys.getswitchinterval() == pytest.approx(SWITCH_S)
    assert gc.get_freeze_count() > 10_000
    assert len(gc.get_objects()) < 1_000
