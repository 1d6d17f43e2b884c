"""The fault simulation, briefly. The long form is `python -m tests.benchmarks.dst --seeds 1000 --jobs 2`."""

from __future__ import annotations

import sys

import pytest

from tests.benchmarks.dst import checked, simulate
from tests.benchmarks.dst_plans import plan_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="its disk is written for POSIX")


@pytest.mark.parametrize("seed", [0, 154, 247])
def test_whatever_goes_wrong_the_invariants_hold(seed: int) -> None:
    assert checked(seed, again=False).wrong == []


def test_a_seed_repeats_exactly_and_the_broker_changes_nothing() -> None:
    seed = next(n for n in range(100) if plan_of(n).faults and plan_of(n).commands and plan_of(n).disk is None)
    assert simulate(plan_of(seed)).digest == simulate(plan_of(seed), broker=False).digest


@pytest.mark.long
def test_a_thousand_seeds() -> None:
    assert [report for seed in range(1000) if (report := checked(seed, again=seed % 10 == 0)).wrong] == []
