"""Interrupted runs whose journals are damaged, held or gone: they wait, alone, until a person has seen to them."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.file_lock import FileLock
from orchestrator.journal.journal import Journal, recover
from tests.orchestrator.daemon.desk import Desk, daemon_file, killed, life, run_of

FALLS_SILENT = {"twin:": "twin:\n  faults:\n    - {fault: silence, port: pumps, at: 10 min, duration: 10 h}"}
"""The pumps do not answer any more, and the rig trips."""


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
        assert {syringe.left_ul for syringe in rig.syringes.values()} == {None}
        (listed,) = [run for run in await desk.daemon.runs() if run.run == "quickstart-0001"]
        assert (listed.phase, "lumiflow recover" in listed.detail) == ("damaged", True)
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
        await desk.event("ended")
        left.append(await desk.left_ul("cs", until="paused"))
        assert "nothing begins until it is resumed" in (await desk.rig()).detail

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
        outcome = await desk.ask("resume")
        assert outcome.accepted
        assert "quickstart-0001 is over" in outcome.detail
        assert await desk.left_ul("cs", until="idle") < 50_000.0  # it is whole again: nothing is in doubt

    with monkeypatch.context() as death:
        killed(death, "_settle")
        life(path, first)
    sound = journal.read_bytes()
    flip(journal, b"dosing")
    life(path, second)
    assert journal.read_bytes() == sound


def test_a_recovered_run_that_had_tripped_latches_its_trip_and_goes_on_only_when_that_is_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = daemon_file(tmp_path, rig_edits=FALLS_SILENT)
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
        assert "cannot go on: tripped" in refused.detail
        rig = await desk.rig()
        assert rig.state == "tripped"
        assert rig.trip is not None
        assert rig.trip.interlock in refused.detail
        assert (await desk.ask("clear")).accepted
        assert (await desk.rig()).state == "paused"
        assert (await desk.ask("resume")).accepted
        await desk.event("ended")

    with monkeypatch.context() as death:
        killed(death, "_settle", "_latch")
        life(path, first)
    with Journal.open(journal, readonly=True) as written:
        kinds = [event.kind for event in written.events()]
    assert kinds[-1] == "ended"
    flip(journal, b"safe_done")
    life(path, second)
    assert run_of(tmp_path, "quickstart-0001").ended


@pytest.mark.parametrize("verb", ["resume", "stop", "abort"])
def test_a_journal_that_was_damaged_while_its_run_waited_keeps_it_waiting(tmp_path: Path, verb: str) -> None:
    path = daemon_file(tmp_path)
    journal = tmp_path / "runs" / "quickstart-0001.sqlite"

    async def first(desk: Desk) -> None:
        await desk.submit(2)
        await desk.event("told", 1)

    async def second(desk: Desk) -> None:
        sound = journal.read_bytes()
        flip(journal, b"dosing")
        refused = await desk.ask(verb)
        assert not refused.accepted
        rig = await desk.rig()
        assert (rig.state, rig.job) == ("paused", "quickstart-0001")
        assert "what it has used up is not known" in rig.detail
        journal.write_bytes(sound)
        assert (await desk.ask(verb)).accepted
        await desk.until("idle")

    life(path, first)
    life(path, second)


@pytest.mark.parametrize("verb", ["resume", "abort"])
def test_a_run_whose_journal_somebody_holds_waits_and_nothing_trips(tmp_path: Path, verb: str) -> None:
    path = daemon_file(tmp_path)

    async def first(desk: Desk) -> None:
        await desk.submit(2)
        await desk.event("told", 1)

    async def second(desk: Desk) -> None:
        assert (await desk.ask("pause")).accepted
        held = FileLock(tmp_path / "runs" / "quickstart-0001.sqlite")
        refused = await desk.ask(verb)
        assert not refused.accepted
        assert "another process is writing this journal" in refused.detail
        rig = await desk.rig()
        assert (rig.state, rig.job, rig.trip) == ("paused", "quickstart-0001", None)
        assert desk.daemon.stations["bench"].ledger.waits
        held.release()
        assert (await desk.ask(verb)).accepted
        await desk.event("ended")

    life(path, first)
    life(path, second)


def test_a_run_whose_journal_is_gone_waits_until_it_is_back_and_is_not_begun_anew(tmp_path: Path) -> None:
    path = daemon_file(tmp_path)
    journal = tmp_path / "runs" / "quickstart-0001.sqlite"

    async def first(desk: Desk) -> None:
        await desk.submit(2)
        await desk.event("told", 1)

    async def second(desk: Desk) -> None:
        assert "it held records: put it back" in (await desk.rig()).detail
        assert not (await desk.ask("resume")).accepted
        (tmp_path / "elsewhere").rename(journal)
        assert (await desk.ask("resume")).accepted
        await desk.event("ended")

    life(path, first)
    journal.rename(tmp_path / "elsewhere")
    life(path, second)
    assert len(run_of(tmp_path, "quickstart-0001").told) == 2


def test_a_run_whose_journal_is_beyond_recovery_can_be_given_up_and_its_syringes_count_as_empty(tmp_path: Path) -> None:
    path = daemon_file(tmp_path)
    journal = tmp_path / "runs" / "quickstart-0001.sqlite"

    async def first(desk: Desk) -> None:
        await desk.submit(2)
        await desk.submit(1)
        assert not (await desk.ask("abort", give_up=True)).accepted
        await desk.event("told", 1)

    async def second(desk: Desk) -> None:
        assert "lumiflow recover" not in (await desk.rig()).detail
        assert not (await desk.ask("abort")).accepted
        assert (await desk.ask("abort", give_up=True)).accepted
        for pump in ("cs", "pb", "halide", "solvent"):
            assert await desk.left_ul(pump, until="paused") == 0.0
            assert pump in (await desk.ask("resume")).detail
            assert (await desk.rig()).state == "paused"
            assert (await desk.ask("refill", pump=pump)).accepted
        await desk.until("idle")

    life(path, first)
    journal.write_bytes(b"nothing of it is left" * 1000)
    life(path, second)
    assert run_of(tmp_path, "quickstart-0002").ended
    with Journal.open(tmp_path / "runs" / "rigs" / "bench.sqlite", readonly=True) as rig:
        ended = [event for event in rig.events() if event.kind == "ended"]
    assert ended[0].data["detail"].startswith("given up by ada: ")


def test_a_trip_that_a_person_has_cleared_is_not_latched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = daemon_file(tmp_path, rig_edits=FALLS_SILENT)
    journal = tmp_path / "runs" / "quickstart-0001.sqlite"

    async def first(desk: Desk) -> None:
        await desk.submit(5)
        await desk.event("ended")

    async def clears(desk: Desk) -> None:
        assert (await desk.rig()).state == "tripped"
        assert (await desk.ask("clear")).accepted
        assert (await desk.rig()).state == "paused"

    async def looks(desk: Desk) -> None:
        assert (await desk.rig()).trip is None

    with monkeypatch.context() as death:
        killed(death, "_settle", "_latch")
        life(path, first)
    flip(journal, b"safe_done")
    recover(journal)  # it ends in the midst of its safe sequence, as a kill leaves it
    life(path, clears)
    life(path, looks)


def test_what_was_recovered_while_the_daemon_was_down_is_looked_at_before_the_next_campaign_begins(
    tmp_path: Path,
) -> None:
    path = daemon_file(tmp_path)
    journal = tmp_path / "runs" / "quickstart-0001.sqlite"

    async def first(desk: Desk) -> None:
        await desk.submit(2)
        await desk.submit(1)
        await desk.event("told", 1)

    async def second(desk: Desk) -> None:
        assert (await desk.ask("resume")).accepted
        await desk.event("dosing", 2)

    async def third(desk: Desk) -> None:
        assert (await desk.ask("resume")).accepted
        await desk.event("ended")
        assert [job.job for job in (await desk.until("paused")).queue] == ["quickstart-0002"]

    life(path, first)
    flip(journal, b"dosing")
    assert recover(journal).kept > 0
    life(path, second)
    life(path, third)


def test_a_trip_that_is_cleared_while_the_journal_cannot_be_read_is_not_latched_again_but_what_it_says_besides_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = daemon_file(tmp_path, rig_edits=FALLS_SILENT)
    journal = tmp_path / "runs" / "quickstart-0001.sqlite"

    async def first(desk: Desk) -> None:
        await desk.submit(5)
        await desk.until("tripped", "ending")
        await desk.event("ended")

    async def second(desk: Desk) -> None:
        assert (await desk.rig()).state == "tripped"
        assert (await desk.ask("clear")).accepted
        journal.write_bytes(sound)
        outcome = await desk.ask("abort", give_up=True)
        assert "quickstart-0001 is over" in outcome.detail
        assert "given up" not in outcome.detail
        rig = await desk.until("tripped")
        assert rig.trip is not None
        assert rig.trip.interlock == "safe sequence incomplete"  # nobody could know that before
        assert await desk.left_ul("cs") > 0.0

    with monkeypatch.context() as death:
        killed(death, "_settle")
        life(path, first)
    sound = journal.read_bytes()
    flip(journal, b"safe_done")
    life(path, second)
