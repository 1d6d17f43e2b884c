"""What a journal says: the state of a run as a pure fold over its events."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.canonical import canonical
from orchestrator.errors import JournalError
from orchestrator.history.fold import fold
from orchestrator.history.run_state import RunState
from orchestrator.history.summary import summary
from orchestrator.journal.journal import Event, Journal
from tests.orchestrator.journals import write_run


def told(*events: tuple[str, Mapping[str, Any]]) -> RunState:
    """The state after events given as (kind, data), one per second."""
    return fold(
        Event("", float(seq), kind, canonical(dict(data)), "", seq, "", "") for seq, (kind, data) in enumerate(events)
    )


PROPOSED = ("proposed", {"n": 1, "kind": "explore", "of": None, "recipe": {"x": 0.5}})
DOSING = (
    "dosing",
    {
        "n": 1,
        "attempt": 1,
        "flows_ul_min": {"cs": 10.0},
        "temperature_c": 100.0,
        "total_flow_ul_min": 10.0,
        "residence_time_s": 60.0,
        "expected_ul": {"cs": 120.0},
    },
)
STARTED = ("run_started", {"target_ev": 2.25, "tolerance_ev": 0.005, "stocks": {"cs": {"stock": "cs_oleate"}}})


def analysed(n: int, peak_ev: float | None) -> tuple[str, Mapping[str, Any]]:
    return ("analysed", {"n": n, "peak_ev": peak_ev, "accepted": peak_ev is not None, "reason": "", "flags": []})


def test_a_summary_says_what_its_numbers_rest_on() -> None:
    read = (STARTED, PROPOSED, analysed(1, 2.26), ("told", {"n": 1, "failed": False}))
    assert summary(told(STARTED))["basis"] is None
    assert summary(told(*read))["basis"] == "measured"
    predicted = {"peak_ev": {"mean": 2.251, "low": 2.24, "high": 2.26}}
    guess = ("recommended", {"recipe": {"x": 0.4}, "basis": "model", "predicted": predicted, "error_ev": 0.001})
    found = summary(told(*read, guess))
    assert (found["basis"], found["peak_ev"]) == ("model", 2.251)


def test_the_verdict_that_a_target_is_out_of_reach_stands_until_it_is_taken_back() -> None:
    verdict = {"out_of_reach": {"reason": "Out of reach: after 9 readings."}}
    first = (PROPOSED[0], {**PROPOSED[1], **verdict})
    assert summary(told(STARTED, first))["out_of_reach"] == "Out of reach: after 9 readings."
    repeat = ("proposed", {"n": 2, "kind": "replicate", "of": 1, "recipe": {"x": 0.5}})
    assert summary(told(STARTED, first, repeat))["out_of_reach"] == "Out of reach: after 9 readings."
    assert summary(told(STARTED, first, ("proposed", {**PROPOSED[1], "n": 2})))["out_of_reach"] is None
    assert summary(told(STARTED, first, analysed(1, 2.30)))["out_of_reach"] == "Out of reach: after 9 readings."
    assert summary(told(STARTED, first, analysed(1, 2.252)))["out_of_reach"] is None


def test_a_proposal_is_carried_step_by_step_to_told() -> None:
    settled = ("settled", {"n": 1, "elapsed_s": 50.0, "looks_ev": [2.2, None], "outcome": "steady"})
    steps = [
        (PROPOSED, (False, False, False)),
        (DOSING, (True, False, False)),
        (settled, (True, False, False)),
        (analysed(1, 2.26), (True, True, False)),
        (("told", {"n": 1, "failed": False, "reagent_ul": {"cs": 99.0}, "reactor_s": 321.0}), (False, True, True)),
    ]
    for count in range(1, len(steps) + 1):
        state = told(STARTED, *(event for event, _ in steps[:count]))
        (experiment,) = state.experiments
        assert (experiment.dosing, experiment.accepted, experiment.told) == steps[count - 1][1]
    assert experiment.looks_ev == (2.2, None)
    assert experiment.error_ev(2.25) == pytest.approx(0.01)
    assert (state.reactor_s, state.reagent_ul) == (321.0, {"cs": 99.0})


def test_an_experiment_whose_dosing_had_begun_is_in_doubt_until_it_is_debited() -> None:
    state = told(STARTED, PROPOSED, DOSING)
    doubtful = state.in_doubt()
    assert doubtful is not None
    assert doubtful.expected_ul == {"cs": 120.0}
    state = told(
        STARTED, PROPOSED, DOSING, ("resumed", {}), ("in_doubt", {"n": 1, "attempt": 1, "debited_ul": {"cs": 120.0}})
    )
    assert state.in_doubt() is None
    assert state.experiments[0].attempts == 1
    assert (state.reagent_ul, state.spent_ul) == ({}, {"cs": 120.0})


def test_volumes_add_up_over_sittings_whose_pumps_count_from_zero() -> None:
    blank = {"integration_s": 0.1, "dark": "d", "blank": "b", "wavelengths": "w"}
    first = [STARTED, ("blank_taken", {**blank, "reagent_ul": {"cs": 5.0}}), PROPOSED]
    told_1 = ("told", {"n": 1, "failed": True, "reagent_ul": {"cs": 20.0}, "counted_ul": {"cs": 25.0}})
    again = [("resumed", {}), ("blank_taken", {**blank, "reagent_ul": {"cs": 7.0}})]
    state = told(*first, told_1, *again)
    assert state.counted_ul == {"cs": 7.0}
    assert state.reagent_ul == {"cs": 32.0}
    assert state.by_stock(state.spent_ul) == {"cs_oleate": 32.0}


def test_solvent_that_nobody_lived_to_count_is_debited_by_the_next_sitting() -> None:
    filling = ("filling", {"expected_ul": {"solvent": 900.0}})
    blank = {"integration_s": 0.1, "dark": "d", "blank": "b", "wavelengths": "w", "reagent_ul": {"solvent": 700.0}}
    assert told(STARTED, filling).spent_ul == {}
    assert told(STARTED, filling, ("resumed", {}), filling, ("resumed", {})).spent_ul == {"solvent": 1800.0}
    assert told(STARTED, filling, ("blank_taken", blank), ("resumed", {})).spent_ul == {"solvent": 700.0}


def test_what_was_under_way_when_a_record_broke_off_may_have_left_its_syringes() -> None:
    filling = ("filling", {"expected_ul": {"solvent": 900.0}})
    suspended = ("safe_done", {"ok": True, "reagent_ul": {"cs": 50.0}})
    assert told(STARTED, filling).drawn_ul == {"solvent": 900.0}
    assert told(STARTED, filling, PROPOSED, DOSING).drawn_ul == {"cs": 120.0, "solvent": 900.0}
    assert told(STARTED, PROPOSED, DOSING, suspended).drawn_ul == {"cs": 50.0}
    assert told(STARTED, PROPOSED, DOSING, ("resumed", {}), DOUBT).drawn_ul == {"cs": 120.0}


def test_a_pause_and_a_suspended_sitting_leave_their_count() -> None:
    idle = ("idle", {"reagent_ul": {"solvent": 40.0}})
    assert told(STARTED, idle, ("resumed", {})).spent_ul == {"solvent": 40.0}
    filling = ("filling", {"expected_ul": {"solvent": 900.0}})
    suspended = ("safe_done", {"ok": True, "reagent_ul": {"solvent": 50.0}})
    state = told(STARTED, filling, PROPOSED, DOSING, suspended, ("resumed", {}))
    assert (state.spent_ul, state.counted_out) == ({"solvent": 50.0}, True)
    assert not told(STARTED, PROPOSED, suspended, ("resumed", {}), DOSING).counted_out


HELD = ("held", {"by": "ada", "keep_temperature": False, "asked_s": 3.0})
GOES_ON = ("continued", {"by": "ada"})
DOUBT = ("in_doubt", {"n": 1, "attempt": 1, "debited_ul": {"cs": 120.0}})
TOLD = ("told", {"n": 1, "failed": False, "reagent_ul": {"cs": 190.0}, "counted_ul": {"cs": 190.0}})


def test_what_a_hold_broke_off_is_debited_until_the_pumps_that_drove_it_have_been_counted() -> None:
    held: list[tuple[str, Mapping[str, Any]]] = [STARTED, PROPOSED, DOSING, HELD, GOES_ON, DOUBT]
    assert told(*held).spent_ul == {"cs": 120.0}
    assert told(*held, DOSING, TOLD).spent_ul == {"cs": 190.0}
    assert told(*held, DOSING, ("resumed", {})).spent_ul == {"cs": 120.0}
    assert told(*held, DOSING, ("resumed", {}), DOUBT).spent_ul == {"cs": 240.0}


def test_a_hold_after_which_the_pumps_were_asked_leaves_nothing_to_debit() -> None:
    counted = ("counted", {"reagent_ul": {"cs": 70.0, "solvent": 300.0}})
    filling = ("filling", {"expected_ul": {"solvent": 900.0}})
    assert told(STARTED, filling, HELD, counted).drawn_ul == {"cs": 70.0, "solvent": 300.0}
    nothing = ("in_doubt", {"n": 1, "attempt": 1, "debited_ul": {}})
    held: list[tuple[str, Mapping[str, Any]]] = [STARTED, PROPOSED, DOSING, HELD, counted]
    assert told(*held).counted_out
    assert told(*held).experiments[0].reagent_ul == {"cs": 70.0, "solvent": 300.0}
    again = [*held, GOES_ON, nothing, DOSING]
    assert told(*again).drawn_ul == {"cs": 190.0, "solvent": 300.0}
    assert told(*again, TOLD).experiments[0].reagent_ul["cs"] == 70.0 + 190.0


@pytest.mark.parametrize("last", ["ended", "safe_done"])
def test_what_the_end_of_a_sitting_has_counted_is_not_debited_again(last: str) -> None:
    words = {"stop_reason": "operator", "reagent_ul": {"cs": 80.0}, "ok": True}
    filling = ("filling", {"expected_ul": {"solvent": 900.0}})
    again = [(last, words), ("resumed", {})]
    assert told(STARTED, filling, *again).spent_ul == {"cs": 80.0}
    assert told(STARTED, PROPOSED, DOSING, *again).counted_out
    assert told(STARTED, PROPOSED, DOSING, *again, DOUBT).spent_ul == {"cs": 80.0}
    assert told(STARTED, PROPOSED, DOSING, *again, ("resumed", {}), DOUBT).spent_ul == {"cs": 80.0}


@pytest.mark.parametrize("last", ["ended", "safe_done"])
def test_what_a_killed_sitting_dosed_is_debited_although_the_next_one_ended_with_a_count(last: str) -> None:
    words = {"stop_reason": "operator", "reagent_ul": {"solvent": 7.0}, "ok": True}
    state = told(STARTED, PROPOSED, DOSING, ("resumed", {}), (last, words), ("resumed", {}))
    assert not state.counted_out
    again = told(STARTED, PROPOSED, DOSING, ("resumed", {}), (last, words), ("resumed", {}), DOUBT)
    assert again.spent_ul == {"cs": 120.0, "solvent": 7.0}


def test_of_a_pump_that_was_lost_before_it_was_counted_the_debit_of_a_hold_stays() -> None:
    doubt = ("in_doubt", {"n": 1, "attempt": 1, "debited_ul": {"cs": 120.0, "pb": 60.0}})
    ended = ("ended", {"stop_reason": "fault", "reagent_ul": {"cs": 300.0, "pb": 90.0}, "uncounted": ["pb"]})
    state = told(STARTED, PROPOSED, DOSING, HELD, GOES_ON, doubt, DOSING, ended)
    assert state.spent_ul == {"cs": 300.0, "pb": 150.0}


def test_a_filling_that_a_hold_broke_off_is_debited_beside_the_one_after_it() -> None:
    filling = ("filling", {"expected_ul": {"solvent": 900.0}})
    assert told(STARTED, filling, HELD, GOES_ON, filling, ("resumed", {})).spent_ul == {"solvent": 1800.0}


def test_the_best_is_the_accepted_one_nearest_to_the_target() -> None:
    proposals = [("proposed", {"n": n, "kind": "explore", "recipe": {"x": float(n)}}) for n in (1, 2, 3)]
    unfit = ("analysed", {"n": 3, "peak_ev": 2.25, "accepted": False, "flags": ["saturated"]})
    state = told(STARTED, *proposals, analysed(1, 2.30), analysed(2, 2.21), unfit)
    assert state.best is not None
    assert state.best.n == 2


def test_a_run_without_an_accepted_experiment_has_no_best() -> None:
    assert told(STARTED, PROPOSED, analysed(1, None)).best is None
    assert summary(told(STARTED, PROPOSED))["recipe"] == {}


def test_what_is_not_known_is_passed_over() -> None:
    state = told(STARTED, ("paused", {"by": "anna"}), ("proposed", {**PROPOSED[1], "colour": "green"}))
    assert len(state.experiments) == 1
    assert state.last_seq == 2


@pytest.mark.parametrize(
    "event", [("told", {"n": 1}), ("analysed", {"n": 9, "accepted": True}), ("proposed", {"n": 1}), ("stopping", {})]
)
def test_an_event_that_does_not_say_what_it_must_is_named(event: tuple[str, Mapping[str, Any]]) -> None:
    with pytest.raises(JournalError, match=event[0]):
        told(STARTED, event)


def test_a_whole_run_is_summed_up(tmp_path: Path) -> None:
    write_run(tmp_path / "run.journal")
    with Journal.open(tmp_path / "run.journal", readonly=True) as journal:
        events = list(journal.events())
    state = fold(events)
    assert state.ended
    assert state.safe
    assert [e.n for e in state.experiments if e.of is not None] == [11, 12]
    result = summary(state)
    assert list(result) == [
        "stop_reason",
        "experiments",
        "recipe",
        "basis",
        "out_of_reach",
        "peak_ev",
        "error_mev",
        "fwhm_mev",
        "yield",
        "reactor_s",
        "reagent_ul",
    ]
    assert result["stop_reason"] == "target_reproduced"
    assert result["experiments"] == 12
    assert result["recipe"]["temperature"] == {"value": 118.0, "unit": "°C"}
    assert result["error_mev"] == pytest.approx(1.2)
    assert set(result["reagent_ul"]) == {"cs_oleate", "lead_bromide", "zinc_iodide", "octadecene"}


def test_the_state_does_not_depend_on_where_the_reading_was_interrupted(tmp_path: Path) -> None:
    write_run(tmp_path / "run.journal", experiments=3)
    with Journal.open(tmp_path / "run.journal", readonly=True) as journal:
        events = list(journal.events())
    whole = fold(events)
    for cut in range(0, len(events), 5):
        assert fold(events[cut:], fold(events[:cut])) == whole
