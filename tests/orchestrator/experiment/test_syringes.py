"""A campaign ends while there is still solvent enough to end it well, and moves nothing from an empty syringe."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.experiment.syringes import Syringes
from orchestrator.history.fold import fold
from orchestrator.history.run_log import RunLog
from orchestrator.journal.journal import Journal
from tests.orchestrator.rehearsal import Rehearsed, rehearse, small

HELD_UL = small().rig.pump("solvent").holds_ul


def with_solvent(left_ul: float, tmp_path: Path) -> Rehearsed:
    """A long campaign that begins with so much solvent."""
    return rehearse(small(40), tmp_path / "run.sqlite", missing_ul={"solvent": HELD_UL - left_ul})


def flush(ended: Rehearsed) -> str:
    (step,) = [event.data for event in ended.events if event.kind == "safe_step" and event.data["step"] == "flush"]
    return str(step["detail"])


@pytest.mark.parametrize("left_ul", [7_000.0, 9_500.0, 14_000.0])
def test_what_the_flush_at_the_end_may_take_is_kept_back(tmp_path: Path, left_ul: float) -> None:
    ended = with_solvent(left_ul, tmp_path)
    assert (ended.state.stop_reason, ended.state.safe) == ("reagent", True)
    assert len(ended.state.told) >= 1
    assert "beside 4.03 mL for the flush at the end" in ended.state.stop_detail
    assert "400 µL/min, down to" in flush(ended)
    assert ended.state.spent_ul["solvent"] < left_ul
    assert ended.state.trips == ()


def test_a_line_that_cannot_be_filled_is_not_begun(tmp_path: Path) -> None:
    ended = with_solvent(5_000.0, tmp_path)
    assert (ended.state.stop_reason, ended.state.safe) == ("reagent", True)
    assert "filling the line needs 2.03 mL beside" in ended.state.stop_detail
    assert "filling" not in ended.kinds


def test_an_empty_syringe_is_not_flushed_from(tmp_path: Path) -> None:
    ended = with_solvent(0.0, tmp_path)
    assert (ended.state.stop_reason, ended.state.safe) == ("reagent", True)
    assert flush(ended) == "left out: the syringe of solvent counts as empty"
    orders = [call["v"] for event in ended.events for call in event.calls if call["d"] == "solvent"]
    assert "infuse" not in orders
    assert ended.state.trips == ()


def test_a_run_that_was_begun_before_anything_was_kept_back_goes_on_as_it_began(tmp_path: Path) -> None:
    ended = with_solvent(14_000.0, tmp_path)
    with Journal.open(tmp_path / "run.sqlite", readonly=True) as journal:
        log = RunLog(journal, ended.events, None)
        before = Syringes(ended.rig.config, log, None)
    assert before.unfilled({"solvent": 2.0 * HELD_UL}) is None
    assert before.forbids_flush("solvent") is None
    assert str(before.lacking({"solvent": HELD_UL})).endswith("mL and the experiment needs 100.00 mL")


def test_what_flows_before_an_experiment_is_debited_with_it_where_nobody_lives_to_count(tmp_path: Path) -> None:
    done = rehearse(small(2), tmp_path / "run.sqlite")
    at = next(at for at, event in enumerate(done.events) if event.kind == "dosing" and event.data["n"] == 2)
    before, killed = fold(done.events[:at]), fold(done.events[: at + 1])
    dosing = done.events[at].data
    assert dosing["unseen_ul"]["solvent"] > 500.0
    gone_ul = killed.drawn_ul["solvent"] - before.drawn_ul["solvent"]
    assert gone_ul == pytest.approx(dosing["expected_ul"]["solvent"] + dosing["unseen_ul"]["solvent"])
