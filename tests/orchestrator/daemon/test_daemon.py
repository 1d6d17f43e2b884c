"""The daemon on twins: queues, commands, restarts, trips, syringes; what is written down, and what is answered."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import cast

import pytest

from orchestrator.clock import virtual_time
from orchestrator.clock.virtual_time import run_real
from orchestrator.daemon.ledger import fold_rig
from orchestrator.daemon.rig_journal import RigJournal
from orchestrator.errors import JournalError, NotBegun, UnknownRun
from orchestrator.guardian.diary import Diary
from orchestrator.journal.journal import Event, Journal
from tests.orchestrator.daemon.desk import Desk, campaign_text, daemon_file, life, run_of


def rig_events(folder: Path, rig: str = "bench") -> tuple[Event, ...]:
    with Journal.open(folder / "runs" / "rigs" / f"{rig}.sqlite", readonly=True) as journal:
        return tuple(journal.events())


def test_campaigns_run_one_after_the_other_in_the_order_of_the_queue(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.ask("pause")
        jobs = [await desk.submit(1) for _ in range(3)]
        assert jobs == ["quickstart-0001", "quickstart-0002", "quickstart-0003"]
        assert (await desk.ask("move", job=jobs[2], place=1)).accepted
        assert (await desk.ask("cancel", job=jobs[0])).accepted
        assert [job.job for job in (await desk.rig()).queue] == [jobs[2], jobs[1]]
        assert (await desk.ask("resume")).accepted
        await desk.until("running")
        await desk.until("idle")
        infos = {info.run: info.phase for info in await desk.daemon.runs()}
        assert infos == {jobs[0]: "cancelled", jobs[1]: "ended", jobs[2]: "ended"}

    life(daemon_file(tmp_path), story)
    assert [event.data["job"] for event in rig_events(tmp_path) if event.kind == "begun"] == [
        "quickstart-0003",
        "quickstart-0002",
    ]


def test_every_command_is_written_with_its_actor_before_it_acts(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.submit(1)
        await desk.ask("stop")
        await desk.ask("cancel", job="nobody")
        await desk.until("idle")

    life(daemon_file(tmp_path), story)
    events = rig_events(tmp_path)
    commands = [
        (e.data["command"]["verb"], e.data["actor"]["name"], e.data["accepted"]) for e in events if e.kind == "command"
    ]
    assert commands == [("submit", "ada", True), ("stop", "ada", True), ("cancel", "ada", False)]
    kinds = [event.kind for event in events]
    assert kinds.index("command") < kinds.index("begun")


def test_two_rigs_run_side_by_side(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        jobs = {rig: await desk.submit(1, rig=rig) for rig in ("left", "right")}
        assert len(set(jobs.values())) == 2
        for rig in jobs:
            await desk.until("idle", rig=rig)
        assert {info.rig for info in await desk.daemon.runs()} == {"left", "right"}

    life(daemon_file(tmp_path, "left", "right"), story)


def test_one_campaign_for_two_rigs_at_one_instant_becomes_two_runs(tmp_path: Path) -> None:
    rigs = ("left", "right")

    async def story(desk: Desk) -> None:
        for rig in rigs:
            await desk.ask("pause", rig)
        for _ in range(3):
            text = campaign_text(1)
            outcomes = await asyncio.gather(*(desk.ask("submit", rig, campaign=text) for rig in rigs))
            assert len({outcome.job for outcome in outcomes}) == 2
        assert len(await desk.daemon.runs()) == 6

    life(daemon_file(tmp_path, *rigs), story)


def test_pause_resume_hold_and_stop_do_what_they_say_and_say_it_clearly(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        job = await desk.submit(25)
        await desk.event("dosing", 1)
        assert "pauses when its present experiment is finished" in (await desk.ask("pause")).detail
        assert (await desk.until("paused")).job == job
        again = await desk.ask("pause")
        assert again.accepted and "already" in again.detail
        assert "pumps stand" in (await desk.ask("hold")).detail
        assert (await desk.ask("resume")).accepted
        await desk.event("continued")
        await desk.event("dosing")
        assert (await desk.ask("hold", keep_temperature=True)).accepted
        held = await desk.until("held")
        assert held.experiment is not None
        assert (await desk.ask("resume")).accepted
        await desk.event("in_doubt")
        assert (await desk.ask("stop")).accepted
        ending = await desk.ask("stop")
        assert (ending.accepted and "already" in ending.detail) or "nothing runs" in ending.detail
        refused = await desk.ask("pause") if (await desk.rig()).state == "ending" else None
        assert refused is None or not refused.accepted
        await desk.until("idle")

    life(daemon_file(tmp_path), story)
    run = run_of(tmp_path, "quickstart-0001")
    assert run.stop_detail == "stopped by ada"
    assert run.ended and run.safe
    assert [e.n for e in run.told] == list(range(1, len(run.told) + 1))


def test_what_cannot_be_done_is_answered_not_raised(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        for verb in ("resume", "hold", "stop", "abort", "clear"):
            outcome = await desk.ask(verb)
            assert not outcome.accepted
            assert outcome.detail
        assert "did you mean bench?" in (await desk.ask("pause", rig="bensch")).detail
        assert "kind" in (await desk.ask("submit", campaign="nonsense: 1")).detail
        beyond = campaign_text(2, **{"range: [60 degC, 160 degC]": "range: [60 degC, 260 degC]"})
        assert not (await desk.ask("submit", campaign=beyond)).accepted
        unseen = await desk.ask("submit", campaign=campaign_text(2), overrides={"target": "0.5 eV"})
        assert not unseen.accepted and "outside the detector's emission window" in unseen.detail
        assert "has no pump" in (await desk.ask("refill", pump="nobody")).detail
        for name in ("../x", "", "a/b", "nobody", ".hidden"):
            with pytest.raises(UnknownRun):
                desk.daemon.journal_path(name)
        await desk.ask("pause")
        waiting = await desk.submit()
        for verb, words in (("pause", "waits in the queue of bench"), ("cancel", "taken out of the queue")):
            await desk.ask(verb, job=waiting) if verb == "cancel" else await desk.ask(verb)
            with pytest.raises(NotBegun, match=words):
                await desk.daemon.run(waiting)

    life(daemon_file(tmp_path), story)


def test_an_end_of_nothing_says_that_the_queue_stays(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        assert (await desk.ask("stop")).detail == "nothing runs that could be ended"
        await desk.ask("pause")
        await desk.submit(1)
        words = "nothing runs that could be ended (paused); 1 in the queue stay there: cancel takes one out"
        assert [(await desk.ask(verb)).detail for verb in ("stop", "abort")] == [words, words]
        assert len((await desk.rig()).queue) == 1

    life(daemon_file(tmp_path), story)


def test_names_that_look_like_a_spectrums_address_leave_every_journal_sound(tmp_path: Path) -> None:
    digits = "0123456789abcdef" * 4

    async def first(desk: Desk) -> None:
        assert not (await desk.ask("cancel", job=digits)).accepted
        named = await desk.ask("submit", campaign=campaign_text(1, **{"name: quickstart": f"name: '{digits}'"}))
        assert named.accepted, named.detail
        await desk.until("idle")

    async def second(desk: Desk) -> None:
        (info,) = await desk.daemon.runs()
        assert (info.campaign, info.phase) == (digits, "ended")

    path = daemon_file(tmp_path)
    life(path, first)
    life(path, second)


def test_a_full_queue_takes_no_more_and_says_so(tmp_path: Path) -> None:
    path = daemon_file(tmp_path)
    path.write_text(path.read_text().replace("{file: rig.yaml}", "{file: rig.yaml, queue: 2}"))

    async def story(desk: Desk) -> None:
        await desk.ask("pause")
        jobs = [await desk.submit(1) for _ in range(2)]
        refused = await desk.ask("submit", campaign=campaign_text(1))
        assert not refused.accepted
        assert "the queue of bench is full: 2 campaigns wait" in refused.detail
        assert (await desk.ask("cancel", job=jobs[0])).accepted
        assert (await desk.ask("submit", campaign=campaign_text(1))).accepted

    life(path, story)


def test_syringes_are_counted_across_campaigns_until_they_are_refilled(tmp_path: Path) -> None:
    path = daemon_file(tmp_path)
    left: list[float] = []

    async def first(desk: Desk) -> None:
        for _ in range(2):
            await desk.submit(1)
            await desk.until("idle")
            left.append(await desk.left_ul("pb"))

    async def second(desk: Desk) -> None:
        left.append(await desk.left_ul("pb"))
        assert "at the most" in (await desk.ask("refill", pump="pb", volume_ul=60_000.0)).detail
        assert (await desk.ask("refill", pump="pb", volume_ul=45_000.0)).accepted
        left.append(await desk.left_ul("pb"))
        await desk.ask("refill", pump="pb")
        left.append(await desk.left_ul("pb"))

    life(path, first)
    life(path, second)
    assert 50_000.0 > left[0] > left[1] == left[2]
    assert left[3:] == [45_000.0, 50_000.0]
    assert run_of(tmp_path, "quickstart-0002").header["missing_ul"]["pb"] == pytest.approx(50_000.0 - left[0])


def test_what_the_guardian_flushed_while_the_daemon_was_dead_is_missing_from_the_syringe_once(tmp_path: Path) -> None:
    path = daemon_file(tmp_path, "bench", "other")
    left: list[float] = []

    async def look(desk: Desk) -> None:
        left.append(await desk.left_ul("solvent"))
        assert await desk.left_ul("solvent", "other") == 100_000.0

    async def guard(infused_ul: float) -> None:
        diary = Diary(tmp_path / "runs" / "guardian")
        diary.note("rescue", rig="bench", cause="killed")
        diary.note("made_safe", rig="bench", well=True, infused_ul={"solvent": infused_ul})
        await diary.close()

    life(path, look)
    run_real(guard(400.0))
    life(path, look)
    life(path, look)
    run_real(guard(50.0))
    life(path, look)
    assert [left[0] - each for each in left] == [0.0, 400.0, 400.0, 450.0]


def test_a_clock_that_was_set_back_hides_no_flush_of_the_guardian(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = daemon_file(tmp_path)
    left: list[float] = []
    set_back = timedelta()

    class Wall(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Wall:
            return super().now(tz) - set_back

    async def look(desk: Desk) -> None:
        left.append(await desk.left_ul("solvent"))

    async def guard(infused_ul: float) -> None:
        diary = Diary(tmp_path / "runs" / "guardian")
        diary.note("made_safe", rig="bench", well=True, infused_ul={"solvent": infused_ul})
        await diary.close()

    monkeypatch.setattr(virtual_time, "datetime", Wall)
    life(path, look)
    run_real(guard(400.0))
    life(path, look)
    set_back = timedelta(hours=1)
    run_real(guard(50.0))
    life(path, look)
    life(path, look)
    assert [left[0] - each for each in left] == [0.0, 400.0, 450.0, 450.0]


def test_a_campaign_ends_when_the_syringes_hold_too_little_by_the_rigs_own_record(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.ask("refill", pump="pb", volume_ul=10.0)
        await desk.submit(2)
        await desk.until("paused")

    life(daemon_file(tmp_path), story)
    assert run_of(tmp_path, "quickstart-0001").stop_reason == "reagent"


def test_a_trip_stays_latched_across_restarts_until_a_person_clears_it(tmp_path: Path) -> None:
    fault = "twin:\n  faults:\n    - {fault: silence, port: pumps, at: 10 min, duration: 10 h}"
    path = daemon_file(tmp_path, rig_edits={"twin:": fault})

    async def first(desk: Desk) -> None:
        await desk.submit(5)
        tripped = await desk.until("tripped")
        assert tripped.trip is not None
        alarm = await desk.hear(lambda notice: notice.topic == "alarm")
        assert alarm.data["trip"]["interlock"] == tripped.trip.interlock
        job = await desk.submit(1)
        assert [entry.job for entry in (await desk.rig()).queue] == [job]
        assert not (await desk.ask("resume")).accepted

    async def second(desk: Desk) -> None:
        rig = await desk.rig()
        assert rig.state == "tripped"
        await desk.ask("pause")
        assert (await desk.ask("clear")).accepted
        assert (await desk.rig()).trip is None
        assert not (await desk.ask("clear")).accepted

    life(path, first)
    life(path, second)
    cleared = [
        event for event in rig_events(tmp_path) if event.kind == "command" and event.data["command"]["verb"] == "clear"
    ]
    assert cleared[0].data["actor"] == {"name": "ada", "via": "cli"}


def test_a_second_daemon_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    path = daemon_file(tmp_path)

    async def story(desk: Desk) -> None:
        from orchestrator.daemon.config import load_daemon
        from orchestrator.daemon.service import Daemon

        with pytest.raises(JournalError, match="another process"):
            Daemon(load_daemon(path))

    life(path, story)


def test_the_rigs_journal_folds_to_what_it_says_and_passes_over_what_it_does_not_know(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.submit(1)
        await desk.until("idle")

    life(daemon_file(tmp_path), story)
    events = rig_events(tmp_path)
    ledger = fold_rig(events)
    assert ledger.boots == 1
    assert set(ledger.ended) == {"quickstart-0001"}
    assert ledger.ended["quickstart-0001"]["safe"] is True
    assert ledger.jobs["quickstart-0001"].text == ""  # a daemon that has had thousands keeps none of them


def test_when_the_rigs_journal_cannot_be_written_nothing_new_is_done_and_it_is_said_why(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        journal = cast(RigJournal, desk.daemon.stations["bench"]._journal)._journal
        assert journal is not None
        journal._connection.close()  # every write fails from now on, as on a disk that is gone
        with pytest.raises(JournalError):
            await desk.ask("submit", campaign=campaign_text(1))
        rig = await desk.rig()
        assert rig.state == "fault"
        assert "cannot be written" in rig.detail
        assert not rig.queue
        with pytest.raises(JournalError):
            await desk.ask("resume")

    life(daemon_file(tmp_path), story)
    assert not list((tmp_path / "runs").glob("*.sqlite"))


def test_a_campaign_whose_journal_is_lost_leaves_the_rig_safe_and_tripped_until_cleared(tmp_path: Path) -> None:
    path = daemon_file(tmp_path)

    async def story(desk: Desk) -> None:
        import resource

        await desk.submit(25)
        await desk.event("told", 1)
        size = (tmp_path / "runs" / "quickstart-0001.sqlite-wal").stat().st_size
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50_000, hard))  # the disk takes no more than this of one file
        try:
            tripped = await desk.until("tripped")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert tripped.trip is not None
        assert tripped.trip.interlock == "journal lost"
        assert tripped.job == "quickstart-0001"
        assert (await desk.ask("clear")).accepted
        assert (await desk.until("paused")).job == "quickstart-0001"
        assert (await desk.ask("stop")).accepted
        await desk.until("idle")

    life(path, story)
    assert run_of(tmp_path, "quickstart-0001").ended
