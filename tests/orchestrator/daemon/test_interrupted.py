"""What the daemon's end has interrupted: it waits, goes on where it was, or is ended; nothing that it used is lost."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.clock.virtual_time import run_real
from orchestrator.daemon.assigning import assignment
from orchestrator.daemon.bench import TwinBench
from orchestrator.daemon.ledger import Job
from orchestrator.daemon.present import Place, root_trip
from orchestrator.daemon.station import Station
from orchestrator.errors import ConfigError
from orchestrator.guardian.diary import Diary
from orchestrator.history.fold import fold
from orchestrator.history.run_state import RunState
from orchestrator.journal.journal import Event, Journal
from tests.orchestrator.daemon.desk import Desk, daemon_file, killed, life, run_of


def test_a_daemon_that_went_down_takes_its_queue_and_its_campaign_up_again(tmp_path: Path) -> None:
    path = daemon_file(tmp_path)

    async def first(desk: Desk) -> None:
        await desk.submit(3)
        await desk.submit(1)
        await desk.event("dosing", 2)

    async def second(desk: Desk) -> None:
        rig = await desk.rig()
        assert (rig.state, rig.job) == ("paused", "quickstart-0001")
        assert "interrupted" in rig.detail
        assert [job.job for job in rig.queue] == ["quickstart-0002"]
        assert rig.told >= 1
        assert (await desk.ask("resume")).accepted
        await desk.until("idle")

    async def whole(desk: Desk) -> None:
        await desk.submit(3)
        await desk.until("idle")

    life(path, first)
    life(path, second)
    (tmp_path / "other").mkdir()
    life(daemon_file(tmp_path / "other"), whole)
    with (
        Journal.open(tmp_path / "runs" / "quickstart-0001.sqlite", readonly=True) as interrupted,
        Journal.open(tmp_path / "other" / "runs" / "quickstart-0001.sqlite", readonly=True) as uninterrupted,
    ):
        assert interrupted.dump() == uninterrupted.dump()
    assert run_of(tmp_path, "quickstart-0002").ended


@pytest.mark.parametrize("verb", ["stop", "abort"])
def test_what_was_interrupted_can_be_ended_without_going_on(tmp_path: Path, verb: str) -> None:
    path = daemon_file(tmp_path)

    async def first(desk: Desk) -> None:
        await desk.submit(25)
        await desk.event("told", 1)

    async def second(desk: Desk) -> None:
        assert (await desk.ask(verb)).accepted
        await desk.until("idle")

    life(path, first)
    life(path, second)
    run = run_of(tmp_path, "quickstart-0001")
    assert run.ended
    assert run.stop_reason == "operator"
    assert len(run.told) < 25


def test_a_campaign_that_no_longer_fits_its_rig_waits_with_all_that_it_used_until_it_does_or_is_ended(
    tmp_path: Path,
) -> None:
    path, rig = daemon_file(tmp_path), tmp_path / "rig.yaml"
    left: list[float] = []

    async def first(desk: Desk) -> None:
        await desk.submit(25)
        await desk.event("told", 1)

    async def refused(desk: Desk) -> None:
        left.append(await desk.left_ul("cs"))
        outcome = await desk.ask("resume")
        assert not outcome.accepted
        assert "quickstart-0001 is not taken up" in outcome.detail
        state = await desk.rig()
        assert (state.state, state.job) == ("paused", "quickstart-0001")
        assert "it was not taken up" in state.detail
        left.append(await desk.left_ul("cs"))

    async def ended(desk: Desk) -> None:
        assert (await desk.ask("abort")).accepted
        left.append(await desk.left_ul("cs", until="idle"))

    life(path, first)
    text = rig.read_text()
    rig.write_text(text.replace("{Cs:", "{Rb:"))
    life(path, refused)
    life(path, ended)
    assert left[0] == left[1] < 50_000.0
    assert left[2] <= left[0]
    assert run_of(tmp_path, "quickstart-0001").stop_detail == "aborted by ada"


def test_after_a_death_nothing_begins_until_a_person_says_so(tmp_path: Path) -> None:
    path = daemon_file(tmp_path)

    async def first(desk: Desk) -> None:
        await desk.ask("pause")
        await desk.submit(1)
        await desk.ask("resume")
        await desk.until("idle")
        await desk.ask("pause")
        await desk.submit(1)

    async def second(desk: Desk) -> None:
        rig = await desk.rig()
        assert rig.state == "paused"
        assert len(rig.queue) == 1
        assert (await desk.ask("resume")).accepted
        await desk.until("idle")

    life(path, first)
    life(path, second, paused=True)
    assert run_of(tmp_path, "quickstart-0002").ended


@pytest.mark.parametrize("verb", ["stop", "abort"])
def test_what_was_under_way_when_the_daemon_died_counts_as_drawn_also_if_the_run_is_then_ended(
    tmp_path: Path, verb: str
) -> None:
    path = daemon_file(tmp_path)
    left: list[float] = []

    async def first(desk: Desk) -> None:
        await desk.submit(3)
        await desk.event("dosing", 2)

    async def second(desk: Desk) -> None:
        left.append(await desk.left_ul("cs"))
        assert (await desk.ask(verb)).accepted
        left.append(await desk.left_ul("cs", until="idle"))

    life(path, first)
    before = run_of(tmp_path, "quickstart-0001")
    assert before.drawn_ul["cs"] > before.spent_ul["cs"]
    life(path, second)
    assert left[0] == 50_000.0 - before.drawn_ul["cs"]
    after = run_of(tmp_path, "quickstart-0001")
    assert left[1] == 50_000.0 - after.drawn_ul["cs"]
    # Debited at its price and what dim light would take; counted, it comes to about its price.
    unseen_ul = before.drawn_ul["cs"] - before.spent_ul["cs"]
    assert 0.9 * unseen_ul < after.drawn_ul["cs"] - before.spent_ul["cs"] <= unseen_ul


def test_after_a_death_nothing_begins_although_the_run_that_sat_had_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = daemon_file(tmp_path)

    async def first(desk: Desk) -> None:
        await desk.submit(1)
        await desk.submit(1)
        await desk.event("ended")

    async def second(desk: Desk) -> None:
        rig = await desk.until("paused")
        assert (rig.job, [job.job for job in rig.queue]) == (None, ["quickstart-0002"])
        assert (await desk.ask("resume")).accepted
        await desk.until("idle")

    with monkeypatch.context() as death:
        killed(death, "_settle")
        life(path, first)
    life(path, second, paused=True)
    assert run_of(tmp_path, "quickstart-0002").ended


def test_what_waits_can_be_paused_so_that_nothing_begins_after_it(tmp_path: Path) -> None:
    path = daemon_file(tmp_path)

    async def first(desk: Desk) -> None:
        await desk.submit(2)
        await desk.submit(1)
        await desk.event("told", 1)

    async def second(desk: Desk) -> None:
        assert (await desk.ask("pause")).accepted
        assert (await desk.ask("pause")).accepted
        assert (await desk.ask("abort")).accepted
        await desk.event("ended")
        assert [job.job for job in (await desk.until("paused")).queue] == ["quickstart-0002"]
        assert (await desk.ask("refill", pump="cs")).accepted
        assert (await desk.ask("resume")).accepted
        await desk.until("idle")

    life(path, first)
    life(path, second)
    assert run_of(tmp_path, "quickstart-0002").ended


def test_an_end_that_is_wished_for_while_the_next_campaign_is_handed_over_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(desk: Desk) -> None:
        await desk.submit(1)
        await desk.submit(25)
        async with asyncio.timeout(60.0):
            while True:
                if (await desk.rig()).job == "quickstart-0002":
                    break
                await asyncio.sleep(0.0)
        assert not (tmp_path / "runs" / "quickstart-0002.sqlite").exists()  # it is on its way to the bench
        assert (await desk.ask("abort")).accepted
        await desk.until("idle")

    def slowly(*given: Any, **more: Any) -> Any:
        time.sleep(0.3)
        return assignment(*given, **more)

    monkeypatch.setattr("orchestrator.daemon.station.assignment", slowly)
    life(daemon_file(tmp_path), story)
    assert run_of(tmp_path, "quickstart-0002").stop_reason == "operator"


def test_a_pause_while_the_next_campaign_is_handed_over_holds_although_that_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(desk: Desk) -> None:
        for _ in range(3):
            await desk.submit(1)
        async with asyncio.timeout(60.0):
            while True:
                if (await desk.rig()).job == "quickstart-0002":
                    break
                await asyncio.sleep(0.0)
        assert (await desk.ask("pause")).accepted
        assert [job.job for job in (await desk.until("paused")).queue] == ["quickstart-0003"]

    def refused(place: Place, job: Job, *given: Any, **more: Any) -> Any:
        if job.job == "quickstart-0002":
            time.sleep(0.3)
            raise ConfigError([])
        return assignment(place, job, *given, **more)

    monkeypatch.setattr("orchestrator.daemon.station.assignment", refused)
    life(daemon_file(tmp_path), story)


def test_a_campaign_that_is_handed_over_while_its_rig_trips_waits_until_that_is_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trip = {"interlock": "over-pressure", "device": "mixer_pressure", "value": 900.0, "limit": 300.0, "unit": "kPa"}

    async def story(desk: Desk) -> None:
        station, loop = desk.daemon.stations["bench"], asyncio.get_running_loop()

        def tripping(*given: Any, **more: Any) -> Any:
            if station.ledger.cleared is None and station.ledger.trip is None:
                loop.call_soon_threadsafe(station.heard_trip, trip)
                time.sleep(0.3)
            return assignment(*given, **more)

        monkeypatch.setattr("orchestrator.daemon.station.assignment", tripping)
        await desk.submit(1)
        assert (await desk.until("tripped")).job == "quickstart-0001"
        assert not (tmp_path / "runs" / "quickstart-0001.sqlite").exists()
        assert (await desk.ask("clear")).accepted
        assert (await desk.until("paused")).job == "quickstart-0001"
        assert (await desk.ask("resume")).accepted
        await desk.event("ended")

    life(daemon_file(tmp_path), story)


@pytest.mark.parametrize(("behind", "root"), [((False, True), "a"), ((True, True), "b"), ((False, False), "b")])
def test_the_root_of_a_runs_trips_is_what_came_behind_none_of_them(behind: tuple[bool, bool], root: str) -> None:
    trips = tuple({"device": name, **({"behind": "x"} if b else {})} for name, b in zip("ab", behind, strict=True))
    assert root_trip(replace(RunState(), trips=trips))["device"] == root


def test_what_is_known_of_a_run_is_not_forgotten_while_its_twins_live_through_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = daemon_file(tmp_path)
    known: list[tuple[int, float]] = []
    heard = Station.heard_event

    def listens(station: Station, job: str, event: Event) -> None:
        heard(station, job, event)
        if station.run is not None:
            known.append((len(station.run.told), station.run.spent_ul.get("solvent", 0.0)))

    async def first(desk: Desk) -> None:
        await desk.submit(4)
        await desk.event("told", 2)

    async def second(desk: Desk) -> None:
        assert (await desk.rig()).told >= 2
        assert (await desk.ask("resume")).accepted
        await desk.until("idle")

    life(path, first)
    monkeypatch.setattr(Station, "heard_event", listens)
    life(path, second)
    assert min(told for told, _ in known) >= 2
    assert known == sorted(known)
    assert known[-1][0] == 4
    with Journal.open(tmp_path / "runs" / "quickstart-0001.sqlite", readonly=True) as journal:
        assert fold(journal.events()).spent_ul["solvent"] == known[-1][1]


@pytest.mark.parametrize("flushed_ul", [0.0, 8_000.0])
def test_what_the_guardian_flushed_in_between_is_not_there_for_the_run_that_is_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flushed_ul: float
) -> None:
    path = daemon_file(tmp_path)

    async def first(desk: Desk) -> None:
        await desk.ask("refill", pump="solvent", volume_ul=16_000.0)
        await desk.submit(3)
        await desk.event("dosing", 2)

    async def second(desk: Desk) -> None:
        left_ul = await desk.left_ul("solvent")
        assert (await desk.ask("resume")).accepted
        await desk.until("idle", "paused")
        run = run_of(tmp_path, "quickstart-0001")
        if flushed_ul:
            assert run.missing_ul["solvent"] == 84_000.0 + flushed_ul
            assert run.stop_reason == "reagent"
            assert f"solvent holds {left_ul / 1000:.2f} mL" in run.stop_detail
        else:
            assert run.missing_ul["solvent"] == 84_000.0
            assert run.stop_reason == "budget_experiments"

    async def guard() -> None:
        diary = Diary(tmp_path / "runs" / "guardian")
        diary.note("made_safe", rig="bench", well=True, infused_ul={"solvent": flushed_ul})
        await diary.close()

    life(path, first)
    run_real(guard())
    sitting = TwinBench._sitting
    monkeypatch.setattr(TwinBench, "_sitting", lambda self, it, exactly: sitting(self, it, exactly=False))
    life(path, second)
