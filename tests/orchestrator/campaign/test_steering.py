"""What an operator can do to a running campaign: pause, hold, stop, abort, suspend, and go on; and that it repeats."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from orchestrator.campaign.steering import Steering, Wish
from orchestrator.config import LoadedCampaign
from orchestrator.history.run_state import added
from orchestrator.journal.journal import Event, Journal
from orchestrator.sittings.replay import replay_run
from orchestrator.sittings.show import Show
from tests.orchestrator.rehearsal import Rehearsed, Watch, rehearse, small


def written(experiments: int) -> LoadedCampaign:
    """A small campaign whose own text says how small it is, so that its record can be replayed."""
    edits = {
        "experiments: 25": f"experiments: {experiments}",
        "initial: 8": "initial: 2",
        "strategy: ensemble ": "strategy: sobol ",
    }
    return small(experiments, **edits)


class Operator:
    """Wants one thing at an event, and others one after the other whenever the campaign waits."""

    def __init__(self, at: tuple[str, int | None], wish: Wish, then: Sequence[Wish] = ()) -> None:
        self._at = at
        self._wish = wish
        self._then = list(then)
        self.waits = 0
        self.steering = Steering(self._waits)

    def watch(self, campaign: object, rig: object, event: Event) -> None:
        if (event.kind, event.data.get("n")) == self._at and self._wish is not None:
            wish, self._wish = self._wish, None  # type: ignore[assignment]
            self.steering.ask(wish)

    def _waits(self, waiting: bool) -> None:
        self.waits += waiting
        if waiting and self._then:
            self.steering.ask(self._then.pop(0))

    def run(self, path: Path, experiments: int = 3, missing_ul: Mapping[str, float] | None = None) -> Rehearsed:
        loaded = written(experiments)
        return rehearse(loaded, path, watch=self.watch, steering=self.steering, missing_ul=missing_ul)


GO_ON = Wish("continue", "ada")


def moved(run: Rehearsed) -> dict[str, float]:
    """What the plungers have moved in all, in µL by pump."""
    end_s = run.events[-1].t_s
    return {name: run.rig.faults.world.syringe(name).infused_ul(end_s) for name in run.rig.pumps}


def numbers(run: Rehearsed, kind: str) -> list[int]:
    return [event.data["n"] for event in run.events if event.kind == kind]


def assert_same_again(run: Rehearsed, path: Path) -> None:
    """A resume of the finished record lives through it without a difference, and so does a replay."""
    assert rehearse(written(3), path, resume="exactly").dump == run.dump
    assert replay_run(path, Show(as_json=True)).same


def test_a_pause_finishes_the_experiment_idles_the_rig_safely_and_goes_on(tmp_path: Path) -> None:
    operator = Operator(("dosing", 2), Wish("pause", "ada"), [GO_ON])
    run = operator.run(tmp_path / "run.sqlite")
    at = run.kinds.index("paused")
    assert run.kinds[at - 1] == "told"
    assert run.kinds[at + 1 : at + 9] == ["idle_step"] * 4 + ["idle", "continued", "filling", "blank_taken"]
    assert "trip" not in run.kinds
    assert numbers(run, "told") == [1, 2, 3]
    assert operator.waits == 1
    assert "in_doubt" not in run.kinds
    assert_same_again(run, tmp_path / "run.sqlite")


def test_time_on_twins_stands_still_while_a_campaign_waits(tmp_path: Path) -> None:
    run = Operator(("dosing", 2), Wish("pause", "ada"), [GO_ON]).run(tmp_path / "run.sqlite")
    at = run.kinds.index("idle")
    assert run.events[at + 1].kind == "continued"
    assert run.events[at + 1].t_s == run.events[at].t_s


def test_a_hold_puts_the_experiment_in_doubt_and_runs_it_again(tmp_path: Path) -> None:
    run = Operator(("settled", 2), Wish("hold", "ada"), [GO_ON]).run(tmp_path / "run.sqlite")
    assert numbers(run, "in_doubt") == [2]
    assert numbers(run, "dosing") == [1, 2, 2, 3]
    assert numbers(run, "told") == [1, 2, 3]
    held = next(event for event in run.events if event.kind == "held")
    after = next(event for event in run.events if event.seq == held.seq + 1)
    verbs = [(call["d"], call["v"]) for call in after.calls]
    assert {device for device, verb in verbs if verb == "stop"} == {"cs", "pb", "halide", "solvent"}
    assert ("oven", "heater_off") in verbs
    assert_same_again(run, tmp_path / "run.sqlite")


def test_what_holds_broke_off_is_spent_once(tmp_path: Path) -> None:
    operator = Operator(("settled", 2), Wish("hold", "ada"), [GO_ON, GO_ON])

    def watch(campaign: object, rig: object, event: Event) -> None:
        operator.watch(campaign, rig, event)
        if (event.kind, event.data.get("attempt")) == ("dosing", 2):  # before anything of the second attempt has flowed
            operator.steering.ask(Wish("hold", "ada"))

    watching: Watch = watch
    run = rehearse(written(3), tmp_path / "run.sqlite", watch=watching, steering=operator.steering)
    assert numbers(run, "in_doubt") == [2, 2]
    assert run.state.spent_ul == pytest.approx(moved(run), abs=5.0)


@pytest.mark.parametrize("kind", ["filling", "dosing"])
def test_a_hold_near_the_end_of_a_syringe_costs_what_has_flowed_and_no_more(tmp_path: Path, kind: str) -> None:
    held_ul = written(2).rig.pump("solvent").holds_ul
    n = 1 if kind == "dosing" else None
    operator = Operator((kind, n), Wish("hold", "ada"), [GO_ON])
    run = operator.run(tmp_path / "run.sqlite", 2, missing_ul={"solvent": held_ul - 9_500.0})
    assert run.kinds[run.kinds.index("held") + 1] == "counted"
    assert (run.state.stop_reason, len(run.state.told)) == ("budget_experiments", 2)
    assert run.state.spent_ul == pytest.approx(moved(run), abs=5.0)


def test_a_hold_while_the_line_is_filled_after_a_pause_is_followed_by_another_blank(tmp_path: Path) -> None:
    operator = Operator(("told", 1), Wish("pause", "ada"), [GO_ON, GO_ON])
    paused: list[str] = []

    def watch(campaign: object, rig: object, event: Event) -> None:
        operator.watch(campaign, rig, event)
        paused.append(event.kind)
        if event.kind == "filling" and "paused" in paused and "held" not in paused:
            operator.steering.ask(Wish("hold", "ada"))

    watching: Watch = watch
    run = rehearse(written(3), tmp_path / "run.sqlite", watch=watching, steering=operator.steering)
    after = run.kinds[run.kinds.index("held") :]
    assert after.index("blank_taken") < after.index("dosing")
    assert (run.state.stop_reason, len(run.state.told)) == ("budget_experiments", 3)


def test_what_an_operator_broke_off_by_ending_the_run_is_spent_once_when_it_is_resumed(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    run = Operator(("settled", 2), Wish("abort", "ada")).run(path)
    assert run.state.ended
    moved_ul = moved(run)
    again = rehearse(written(3), path, resume="in doubt")
    assert numbers(again, "in_doubt") == [2]
    assert again.state.spent_ul == pytest.approx(added(moved_ul, moved(again)), abs=5.0)


def test_a_hold_may_keep_the_temperature(tmp_path: Path) -> None:
    wish = Wish("hold", "ada", keep_temperature=True)
    run = Operator(("settled", 2), wish, [GO_ON]).run(tmp_path / "run.sqlite")
    at = run.kinds.index("continued")
    assert not [call for call in run.events[at].calls if call["v"] == "heater_off"]


@pytest.mark.parametrize("kind", ["connected", "blank_taken", "proposed"])
def test_a_hold_is_heard_wherever_the_campaign_is(tmp_path: Path, kind: str) -> None:
    n = 1 if kind == "proposed" else None
    run = Operator((kind, n), Wish("hold", "ada"), [GO_ON]).run(tmp_path / "run.sqlite", 2)
    assert numbers(run, "told") == [1, 2]
    assert run.state.safe is True


def test_a_stop_finishes_the_experiment_and_recommends(tmp_path: Path) -> None:
    run = Operator(("dosing", 2), Wish("stop", "ada")).run(tmp_path / "run.sqlite")
    assert numbers(run, "told") == [1, 2]
    assert run.state.stop_reason == "operator"
    assert run.state.stop_detail == "stopped by ada"
    assert run.kinds[-2:] == ["recommended", "ended"]
    assert next(step["detail"] for step in run.state.safe_steps if step["step"] == "flush").endswith("°C")
    assert_same_again(run, tmp_path / "run.sqlite")


def test_an_abort_ends_at_once_without_the_flush(tmp_path: Path) -> None:
    run = Operator(("settled", 2), Wish("abort", "ada")).run(tmp_path / "run.sqlite")
    assert numbers(run, "told") == [1]
    assert run.state.stop_detail == "aborted by ada"
    assert "left out" in next(step["detail"] for step in run.state.safe_steps if step["step"] == "flush")
    assert run.state.safe is True
    assert_same_again(run, tmp_path / "run.sqlite")


@pytest.mark.parametrize("end", ["stop", "abort", "suspend"])
@pytest.mark.parametrize("first", ["pause", "hold"])
def test_a_waiting_campaign_can_be_ended(tmp_path: Path, first: str, end: str) -> None:
    verbs: dict[str, Callable[[str], Wish]] = {verb: lambda by, verb=verb: Wish(verb, by) for verb in (first, end)}  # type: ignore[misc]
    run = Operator(("dosing", 2), verbs[first]("ada"), [verbs[end]("bob")]).run(tmp_path / "run.sqlite")
    assert "continued" not in run.kinds
    assert run.state.safe is True
    assert run.state.ended is (end != "suspend")
    assert run.state.stop_detail.endswith("by bob")


def test_a_suspended_campaign_is_safe_and_resumes(tmp_path: Path) -> None:
    path = tmp_path / "run.sqlite"
    run = Operator(("settled", 2), Wish("suspend", "daemon")).run(path)
    assert run.kinds[-1] == "safe_done"
    assert run.state.safe is True
    moved_ul = moved(run)
    assert run.state.spent_ul == pytest.approx(moved_ul, abs=3.0)
    again = rehearse(written(3), path, resume="in doubt")
    assert numbers(again, "told") == [1, 2, 3]
    assert numbers(again, "in_doubt") == [2]
    assert again.state.spent_ul == pytest.approx(added(moved_ul, moved(again)), abs=5.0)


def test_a_cut_leaves_the_record_as_it_stands_and_the_twins_take_it_up(tmp_path: Path) -> None:
    path, whole = tmp_path / "run.sqlite", tmp_path / "whole.sqlite"
    expected = rehearse(written(3), whole).dump
    with pytest.raises(asyncio.CancelledError):
        Operator(("settled", 2), Wish("cut", "daemon")).run(path)
    with Journal.open(path, readonly=True) as journal:
        assert expected.startswith(journal.dump())
    assert rehearse(written(3), path, resume="exactly").dump == expected


def test_a_campaign_killed_while_it_was_paused_waits_again(tmp_path: Path) -> None:
    path, whole = tmp_path / "run.sqlite", tmp_path / "whole.sqlite"
    expected = Operator(("dosing", 2), Wish("pause", "ada"), [GO_ON]).run(whole).dump
    with pytest.raises(asyncio.CancelledError):
        Operator(("dosing", 2), Wish("pause", "ada"), [Wish("cut", "daemon")]).run(path)
    operator = Operator(("none", None), GO_ON, [GO_ON])
    again = rehearse(written(3), path, resume="exactly", steering=operator.steering)
    assert operator.waits == 1
    assert again.dump == expected


def test_a_second_suspend_leaves_out_the_flush(tmp_path: Path) -> None:
    operator = Operator(("settled", 2), Wish("suspend", "daemon"))

    def watch(campaign: object, rig: object, event: Event) -> None:
        operator.watch(campaign, rig, event)
        if event.kind == "safe_step" and event.data["step"] == "heaters_off":
            operator.steering.ask(Wish("suspend", "daemon"))

    watching: Watch = watch
    run = rehearse(written(3), tmp_path / "run.sqlite", watch=watching, steering=operator.steering)
    assert "left out" in next(step["detail"] for step in run.state.safe_steps if step["step"] == "flush")
