"""The conductor over real drivers and twins in virtual time: what happens, in which order, and how it ends."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.deciders import LiveDecider
from orchestrator.errors import JournalError
from orchestrator.history.fold import fold
from orchestrator.history.run_state import RunState, added
from orchestrator.journal.journal import Event
from orchestrator.rig.rig import Rig
from orchestrator.sittings.replay import replay_run
from orchestrator.sittings.show import Show
from planners import PlannerError
from tests.orchestrator.rehearsal import Rehearsed, rehearse, small


def last_calls(run: Rehearsed, device: str) -> list[str]:
    """The verbs that a device last heard, newest last."""
    return [str(call["v"]) for event in run.events for call in event.calls if call["d"] == device]


def assert_left_safe(run: Rehearsed) -> None:
    """The heater's last order was to be off, and every pump's to stop; nothing was ordered to move or heat after."""
    assert "heater_off" in last_calls(run, "oven")
    assert last_calls(run, "oven")[::-1].index("heater_off") < last_calls(run, "oven")[::-1].index("set_temperature")
    for pump in ("cs", "pb", "halide", "solvent"):
        verbs = [verb for verb in last_calls(run, pump) if verb in ("infuse", "stop")]
        assert verbs[-1] == "stop"
    assert run.state.safe is True


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Rehearsed:
    return rehearse(small(), tmp_path_factory.mktemp("run") / "run.sqlite")


def test_every_experiment_is_proposed_dosed_settled_measured_analysed_and_told_once(finished: Rehearsed) -> None:
    steps = ["proposed", "dosing", "settled", "measured", "analysed", "told"]
    for experiment in finished.state.experiments:
        mine = [event.kind for event in finished.events if event.data.get("n") == experiment.n]
        assert mine == steps
    assert len(finished.state.told) == 3


def test_a_spent_budget_ends_in_the_safe_state_with_a_recommendation(finished: Rehearsed) -> None:
    assert finished.state.stop_reason == "budget_experiments"
    assert finished.kinds[-2:] == ["recommended", "ended"]
    assert finished.kinds.index("safe_begin") < finished.kinds.index("recommended")
    assert [step["step"] for step in finished.state.safe_steps] == ["heaters_off", "flush", "pumps_stop", "lamp_off"]
    assert_left_safe(finished)


def test_intent_is_written_before_the_first_command(finished: Rehearsed) -> None:
    for before, event in zip(finished.events, finished.events[1:], strict=False):
        if event.kind == "dosing":
            assert not [call for call in event.calls if call["v"] in ("infuse", "set_temperature")], before.kind


def test_solvent_follows_the_last_recipe_while_the_planner_thinks(finished: Rehearsed) -> None:
    proposed = [event for event in finished.events if event.kind == "proposed"]
    for event in proposed[1:]:
        ordered = {call["d"]: call["v"] for call in event.calls if call["v"] in ("infuse", "stop")}
        assert ordered == {"cs": "stop", "pb": "stop", "halide": "stop", "solvent": "infuse"}


def test_the_ledger_is_what_the_pumps_counted(finished: Rehearsed) -> None:
    told = finished.state.told[-1]
    volumes = {}
    for event in finished.events:
        for call in event.calls:
            if call["v"] == "status" and event.kind == "analysed" and event.data["n"] == told.n:
                volumes[call["d"]] = call["r"][1]
    recorded = next(e for e in finished.events if e.kind == "told" and e.data["n"] == told.n).data["counted_ul"]
    assert volumes == pytest.approx(recorded)
    assert sum(finished.state.reagent_ul.values()) > 5000.0


def test_one_seed_gives_one_journal_byte_for_byte(finished: Rehearsed, tmp_path: Path) -> None:
    again = rehearse(small(), tmp_path / "again.sqlite")
    assert again.dump == finished.dump


def test_the_ensembles_own_proposals_are_the_same_again_too(tmp_path: Path) -> None:
    first = rehearse(small(10, "ensemble"), tmp_path / "first.sqlite")
    assert [e.phase for e in first.state.told][-1] in ("model", "replicate")
    assert rehearse(small(10, "ensemble"), tmp_path / "second.sqlite").dump == first.dump


def test_another_seed_gives_another_journal(finished: Rehearsed, tmp_path: Path) -> None:
    other = rehearse(small(3, "sobol", **{"seed: 1 ": "seed: 2 "}), tmp_path / "other.sqlite")
    assert other.dump != finished.dump
    assert len(other.state.told) == 3


def cut_after(path: Path, source: Rehearsed, kind: str, n: int | None, whole: Path) -> None:
    """A journal that ends right after an event, as a kill at that moment leaves it."""
    import shutil
    import sqlite3

    from orchestrator.journal.seal import unsealed

    shutil.copy(whole, path)
    seq = next(e.seq for e in source.events if e.kind == kind and e.data.get("n") == n)
    with sqlite3.connect(path) as connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DELETE FROM events WHERE seq > ?", (seq,))
        connection.execute("UPDATE seal SET text = ?", (unsealed(),))  # nobody has closed it in good order
        for _, sql in triggers:
            connection.execute(sql)


@pytest.mark.parametrize(("kind", "n"), [("proposed", 1), ("dosing", 2), ("settled", 2), ("analysed", 3), ("told", 3)])
def test_a_run_cut_short_resumes_on_twins_to_the_very_same_journal(
    finished: Rehearsed, tmp_path: Path, kind: str, n: int
) -> None:
    whole, cut = tmp_path / "whole.sqlite", tmp_path / "cut.sqlite"
    rehearse(small(), whole)
    cut_after(cut, finished, kind, n, whole)
    assert rehearse(small(), cut, resume="exactly").dump == finished.dump


def test_on_steel_an_experiment_in_doubt_is_debited_flushed_and_run_again(finished: Rehearsed, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.sqlite", tmp_path / "cut.sqlite"
    rehearse(small(), whole)
    cut_after(cut, finished, "dosing", 2, whole)
    resumed = rehearse(small(), cut, resume="in doubt")
    doubt = next(event for event in resumed.events if event.kind == "in_doubt")
    dosing = next(e for e in finished.events if e.kind == "dosing" and e.data["n"] == 2).data
    assert (doubt.data["n"], doubt.data["debited_ul"]) == (2, added(dosing["expected_ul"], dosing["unseen_ul"]))
    told = [event.data["n"] for event in resumed.events if event.kind == "told"]
    assert told == [1, 2, 3]
    attempts = [event.data["attempt"] for event in resumed.events if event.kind == "dosing" and event.data["n"] == 2]
    assert attempts == [1, 2]
    recipes = [e.data["recipe"] for e in resumed.events if e.kind == "proposed"]
    assert recipes == [e.data["recipe"] for e in finished.events if e.kind == "proposed"]
    assert resumed.state.spent_ul["pb"] > resumed.state.reagent_ul["pb"]
    assert_left_safe(resumed)


def test_on_steel_solvent_that_flowed_for_a_blank_nobody_read_is_debited(finished: Rehearsed, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.sqlite", tmp_path / "cut.sqlite"
    rehearse(small(), whole)
    cut_after(cut, finished, "filling", None, whole)
    resumed = rehearse(small(), cut, resume="in doubt")
    needed_ul = next(e for e in finished.events if e.kind == "blank_taken").data["reagent_ul"]["solvent"]
    debited_ul = resumed.state.spent_ul["solvent"] - resumed.state.reagent_ul["solvent"]
    assert needed_ul > 100.0
    assert needed_ul <= debited_ul <= 2.0 * needed_ul


def test_an_interrupted_run_ends_by_the_operator_in_the_safe_state(tmp_path: Path) -> None:
    def watch(campaign: Campaign, rig: Rig, event: Event) -> None:
        if event.kind == "dosing" and event.data["n"] == 2:
            asyncio.get_running_loop().call_later(100.0, campaign.interrupt)

    run = rehearse(small(), tmp_path / "run.sqlite", watch=watch)
    assert run.state.stop_reason == "operator"
    assert [e.n for e in run.state.told] == [1]
    assert_left_safe(run)
    assert replay_run(tmp_path / "run.sqlite", Show(as_json=True)).same


def test_a_reading_that_the_planner_was_not_told_recommends_nothing_and_the_run_has_its_end(tmp_path: Path) -> None:
    def watch(campaign: Campaign, rig: Rig, event: Event) -> None:
        if event.kind == "analysed":
            campaign.interrupt()

    run = rehearse(small(), tmp_path / "run.sqlite", watch=watch)
    assert [(e.n, e.accepted, e.told) for e in run.state.experiments] == [(1, True, False)]
    assert (run.kinds[-1], run.state.stop_reason, run.state.recommendation) == ("ended", "operator", None)
    assert "unrecommended" not in run.events[-1].data


def test_a_planner_that_fails_to_recommend_is_named_at_the_end_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: LiveDecider, state: RunState) -> None:
        raise PlannerError("no factorisation")

    monkeypatch.setattr(LiveDecider, "recommend", fail)
    run = rehearse(small(1), tmp_path / "run.sqlite")
    assert (run.state.ended, run.state.stop_reason) == (True, "budget_experiments")
    assert run.events[-1].data["unrecommended"] == "PlannerError: no factorisation"
    assert_left_safe(run)


def test_a_second_interrupt_leaves_out_the_flush_and_nothing_else(tmp_path: Path) -> None:
    def watch(campaign: Campaign, rig: Rig, event: Event) -> None:
        if event.kind == "dosing" and event.data["n"] == 1:
            asyncio.get_running_loop().call_later(100.0, campaign.interrupt)
        if event.kind == "safe_step" and event.data["step"] == "heaters_off" and event.data["ok"]:
            asyncio.get_running_loop().call_later(5.0, campaign.interrupt)

    run = rehearse(small(), tmp_path / "run.sqlite", watch=watch)
    assert run.state.stop_reason == "operator"
    steps = [event for event in run.events if event.kind == "safe_step"]
    assert [step.data["step"] for step in steps][-4:] == ["heaters_off", "flush", "pumps_stop", "lamp_off"]
    assert "hurry" in next(s.data["detail"] for s in steps if s.data["step"] == "flush")
    assert_left_safe(run)


def test_over_pressure_trips_latches_and_ends_in_the_safe_state(tmp_path: Path) -> None:
    # The transmitter of this rig reads a pressure that the limits forbid as soon as anything flows.
    edits = {"pressure: 300 kPa": "pressure: 60 kPa", "ambient: 25 degC": "back_pressure: 59 kPa"}
    run = rehearse(small(3, "sobol", **edits), tmp_path / "run.sqlite")
    assert run.state.stop_reason == "fault"
    assert [trip["interlock"] for trip in run.state.trips] == ["over-pressure"]
    assert run.state.trips[0]["device"] == "mixer_pressure"
    assert replay_run(tmp_path / "run.sqlite", Show(as_json=True)).same
    verbs = [verb for verb in last_calls(run, "solvent") if verb in ("infuse", "stop")]
    assert verbs[-1] == "stop"


def test_a_journal_that_cannot_be_written_still_leaves_the_rig_safe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from orchestrator.journal.journal import Journal

    append = Journal.append
    heard: list[str] = []

    async def failing(self: Journal, kind: str, *args: object, **kwargs: object) -> Event:
        if kind == "settled":
            raise JournalError("no space left on device")
        return await append(self, kind, *args, **kwargs)  # type: ignore[arg-type]

    async def off(self: object) -> None:
        heard.append("heater_off")

    async def stop(self: object) -> None:
        heard.append("stop")

    from drivers import EurothermController, NewEraPump

    monkeypatch.setattr(Journal, "append", failing)
    real_off, real_stop = EurothermController.heater_off, NewEraPump.stop

    async def spied_off(self: EurothermController) -> None:
        heard.append("heater_off")
        await real_off(self)

    async def spied_stop(self: NewEraPump) -> None:
        heard.append("stop")
        await real_stop(self)

    monkeypatch.setattr(EurothermController, "heater_off", spied_off)
    monkeypatch.setattr(NewEraPump, "stop", spied_stop)
    with pytest.raises(JournalError, match="no space left"):
        rehearse(small(), tmp_path / "run.sqlite")
    assert "heater_off" in heard
    assert heard[-4:] == ["stop"] * 4


def test_no_proposal_asks_a_pump_for_more_than_it_may_give(tmp_path: Path) -> None:
    edits = {"pump_flow: 1500 µl/min": "pump_flow: 150 µl/min", "flow: 400 µl/min": "flow: 100 µl/min"}
    run = rehearse(small(3, "sobol", **edits), tmp_path / "run.sqlite")
    assert run.state.stop_reason == "budget_experiments"
    for experiment in run.state.told:
        assert max(experiment.flows_ul_min.values()) <= 150.0
    assert fold(run.events).ended
