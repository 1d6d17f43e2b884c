"""What the daemon's end has interrupted: it waits, goes on where it was, or is ended; nothing that it used is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.daemon.station import Station
from orchestrator.journal import Journal, recover
from tests.orchestrator.daemon.desk import Desk, daemon_file, life, run_of


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
        left.append((await desk.rig()).syringes["cs"].left_ul)
        outcome = await desk.ask("resume")
        assert not outcome.accepted
        assert "quickstart-0001 is not taken up" in outcome.detail
        state = await desk.rig()
        assert (state.state, state.job) == ("paused", "quickstart-0001")
        assert "it was not taken up" in state.detail
        left.append(state.syringes["cs"].left_ul)

    async def ended(desk: Desk) -> None:
        assert (await desk.ask("abort")).accepted
        left.append((await desk.until("idle")).syringes["cs"].left_ul)

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


def flip(journal: Path, words: bytes) -> None:
    """Alter the last place where a file says this."""
    content = bytearray(journal.read_bytes())
    content[content.rindex(words)] ^= 1
    journal.write_bytes(content)


@pytest.mark.parametrize("damage", ["flipped", "cut"])
def test_a_run_whose_journal_is_damaged_waits_until_it_is_recovered_and_the_other_rig_works(
    tmp_path: Path, damage: str
) -> None:
    path = daemon_file(tmp_path, "bench", "other")
    journal = tmp_path / "runs" / "quickstart-0001.sqlite"
    left: list[float] = []

    async def first(desk: Desk) -> None:
        await desk.submit(3)
        await desk.event("told", 1)

    async def damaged(desk: Desk) -> None:
        rig = await desk.rig()
        assert (rig.state, rig.job) == ("paused", "quickstart-0001")
        assert "what it has used up is not known" in rig.detail
        assert "lumiflow recover" in rig.detail
        for verb in ("resume", "stop", "abort"):
            outcome = await desk.ask(verb)
            assert not outcome.accepted
            assert "quickstart-0001 is not taken up" in outcome.detail
        assert (await desk.rig()).job == "quickstart-0001"
        other = await desk.submit(1, rig="other")
        await desk.until("idle", rig="other")
        assert run_of(tmp_path, other).ended
        assert recover(journal).kept > 0
        assert (await desk.ask("resume")).accepted
        left.append((await desk.until("idle")).syringes["cs"].left_ul)

    life(path, first)
    if damage == "cut":
        journal.write_bytes(journal.read_bytes()[: journal.stat().st_size * 2 // 3])
    else:
        flip(journal, b"dosing")
    life(path, damaged)
    assert run_of(tmp_path, "quickstart-0001").ended
    assert len(run_of(tmp_path, "quickstart-0001").told) == 3
    assert left[0] < 50_000.0


def test_a_recovered_run_that_had_come_to_its_end_is_counted_and_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = daemon_file(tmp_path)
    journal = tmp_path / "runs" / "quickstart-0001.sqlite"

    async def first(desk: Desk) -> None:
        await desk.submit(1)
        await desk.event("ended")

    async def second(desk: Desk) -> None:
        assert "what it has used up is not known" in (await desk.rig()).detail
        journal.write_bytes(sound)
        assert (await desk.ask("resume")).accepted
        assert (await desk.until("idle")).syringes["cs"].left_ul < 50_000.0

    async def unwritten(*_: object, **__: object) -> None:
        """Killed before the rig's journal says that the run is over."""

    with monkeypatch.context() as killed:
        killed.setattr(Station, "_settle", unwritten)
        life(path, first)
    sound = journal.read_bytes()
    flip(journal, b"dosing")
    life(path, second)
    assert journal.read_bytes() == sound


def test_a_recovered_run_that_had_tripped_latches_its_trip_and_goes_on_only_when_that_is_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = "twin:\n  faults:\n    - {fault: silence, port: pumps, at: 10 min, duration: 10 h}"
    path = daemon_file(tmp_path, rig_edits={"twin:": fault})
    journal = tmp_path / "runs" / "quickstart-0001.sqlite"

    async def first(desk: Desk) -> None:
        await desk.submit(5)
        await desk.event("ended")

    async def second(desk: Desk) -> None:
        rig = await desk.rig()
        assert (rig.state, rig.trip) == ("paused", None)
        assert recover(journal).kept > 0
        refused = await desk.ask("resume")
        assert not refused.accepted
        assert "quickstart-0001 is not taken up" in refused.detail
        rig = await desk.rig()
        assert rig.state == "tripped"
        assert rig.trip is not None
        assert rig.trip.interlock in refused.detail
        assert (await desk.ask("clear")).accepted
        assert (await desk.rig()).state == "paused"
        assert (await desk.ask("resume")).accepted
        await desk.until("idle", "tripped")

    async def unwritten(*_: object, **__: object) -> None:
        """Killed before the rig's journal says that it tripped and that the run is over."""

    with monkeypatch.context() as killed:
        killed.setattr(Station, "_settle", unwritten)
        killed.setattr(Station, "_latch", unwritten)
        life(path, first)
    with Journal.open(journal, readonly=True) as written:
        kinds = [event.kind for event in written.events()]
    assert kinds[-1] == "ended"
    flip(journal, b"safe_done")
    life(path, second)
    assert run_of(tmp_path, "quickstart-0001").ended
