"""Device calls: recorded as they happen, answered from the record at the same times and in the same order."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from orchestrator.clock.virtual_time import UtcClock, run_real, run_virtual
from orchestrator.errors import JournalError, ReplayDivergence
from orchestrator.journal.journal import EndOfRecord, Journal, RecordDiffers
from orchestrator.rig.tracing import RecordedDeviceError, RecordingTracer, ReplayTracer

Tracer = RecordingTracer | ReplayTracer


class PumpStalledError(Exception):
    """A device error with the name of its device."""

    device = "pump"


class Bench:
    """A heater and a pump that answer after a while; a replay must never get here."""

    def __init__(self, *, present: bool = True) -> None:
        self._present = present
        self.temperature_c = 20.0
        self.reads = 0

    async def read(self) -> Any:
        assert self._present, "a replay reached a device"
        await asyncio.sleep(0.25)
        self.reads += 1
        self.temperature_c += 0.1
        return [self.temperature_c, math.nan if self.reads == 3 else 0.5]

    async def infuse(self) -> Any:
        assert self._present, "a replay reached a device"
        await asyncio.sleep(0.5)
        raise PumpStalledError("stalled at 80 µl/min")

    async def wait(self) -> Any:
        assert self._present, "a replay reached a device"
        await asyncio.sleep(1000.0)


async def watch(tracer: Tracer, bench: Bench, seen: list[Any]) -> None:
    while True:
        seen.append(await tracer.call("heater", "read", {}, bench.read))
        await asyncio.sleep(0.75)


async def campaign(
    journal: Journal,
    tracer: Tracer,
    bench: Bench,
    *,
    flow: float = 80.0,
    steps: int = 4,
    stops_late_s: float = 0.0,
    tells_reads: bool = True,
) -> list[Any]:
    """A conductor beside a watcher, whose calls and events meet at equal instants.

    Which of two comes first at one instant is a matter of chance by the wall: with `tells_reads` false no event says.
    """
    seen: list[Any] = []
    watching = asyncio.ensure_future(watch(tracer, bench, seen))
    try:
        for n in range(steps):
            await journal.append("dosing", {"n": n})
            try:
                await tracer.call("pump", "infuse", {"flow_ul_min": flow}, bench.infuse)
            except (PumpStalledError, RecordedDeviceError) as error:
                await journal.append("refused", {"n": n, "reason": f"{type(error).__name__}: {error}"})
            try:
                await asyncio.wait_for(tracer.call("pump", "wait", {"n": n}, bench.wait), 0.75)
            except TimeoutError:
                seen.append("timeout")
            await journal.append("told", {"n": n, "reads": len(seen)} if tells_reads else {"n": n})
        await asyncio.sleep(stops_late_s)
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    await journal.append("ended", {})
    return seen


def record(
    path: Path, run: Callable[[Coroutine[Any, Any, list[Any]]], list[Any]], steps: int = 4, **changes: Any
) -> list[Any]:
    async def main() -> list[Any]:
        clock = UtcClock(asyncio.get_running_loop())
        with Journal.create(path, clock) as journal:
            return await campaign(journal, RecordingTracer(journal, clock), Bench(), steps=steps, **changes)

    return run(main())


async def replay(path: Path, **changes: Any) -> list[Any]:
    clock = UtcClock(asyncio.get_running_loop())
    with Journal.open(path, clock, readonly=True) as journal:
        journal.catch_up()
        tracer = ReplayTracer(journal, clock)
        return await campaign(journal, tracer, Bench(present=False), **changes)


def test_every_call_is_in_the_journal_with_its_time_and_its_outcome(tmp_path: Path) -> None:
    record(tmp_path / "run.journal", run_virtual, steps=1)
    with Journal.open(tmp_path / "run.journal", readonly=True) as journal:
        calls = [call for event in journal.events() for call in event.calls]
    assert calls[0] == {"a": {}, "d": "heater", "i": 0, "r": [20.1, 0.5], "t": 0.25, "v": "read"}
    stalled = {"device": "pump", "message": "stalled at 80 µl/min", "type": "PumpStalledError"}
    assert calls[1] == {"a": {"flow_ul_min": 80.0}, "d": "pump", "e": stalled, "i": 0, "t": 0.5, "v": "infuse"}
    assert [call for call in calls if "x" in call] == [
        {"a": {"n": 0}, "d": "pump", "i": 1, "t": 1.25, "v": "wait", "x": True},
    ]


def test_a_replay_sees_what_the_run_saw_without_a_device(tmp_path: Path) -> None:
    seen = record(tmp_path / "run.journal", run_virtual)
    assert any(isinstance(item, list) and math.isnan(item[1]) for item in seen)
    assert repr(run_virtual(replay(tmp_path / "run.journal"))) == repr(seen)


def test_a_replay_can_be_watched_at_a_chosen_speed(tmp_path: Path) -> None:
    seen = record(tmp_path / "run.journal", run_virtual)
    assert repr(run_virtual(replay(tmp_path / "run.journal"), speed=200.0)) == repr(seen)


def test_a_run_in_wall_time_is_replayed_in_virtual_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_sleep, real_wait = asyncio.sleep, asyncio.wait_for
    monkeypatch.setattr(asyncio, "sleep", lambda s: real_sleep(s / 50))
    monkeypatch.setattr(asyncio, "wait_for", lambda job, s: real_wait(job, s / 50))
    seen = record(tmp_path / "run.journal", run_real, tells_reads=False)
    again = run_virtual(replay(tmp_path / "run.journal", tells_reads=False))
    assert again.count("timeout") == seen.count("timeout") == 4
    # The watcher is stopped at once, not when the machine comes to it; what both saw at one instant has no order.
    read, read_again = ([item for item in items if item != "timeout"] for items in (seen, again))
    assert len(read_again) >= 4
    assert repr(read_again) == repr(read[: len(read_again)])


def record_by_a_busy_wall(path: Path, stops_late_s: float) -> list[Any]:
    async def main() -> list[Any]:
        clock = UtcClock(asyncio.get_running_loop())
        clock.virtual = False  # the record is then one by the wall, whose times need not repeat to the last bit
        with Journal.create(path, clock) as journal:
            return await campaign(journal, RecordingTracer(journal, clock), Bench(), stops_late_s=stops_late_s)

    return run_virtual(main())


@pytest.mark.parametrize("stops_late_s", [0.0, 0.1, 0.5, 1.0, 2.6])
def test_calls_that_ended_while_a_busy_machine_came_to_stop_the_watcher_are_not_missed(
    tmp_path: Path, stops_late_s: float
) -> None:
    seen = record_by_a_busy_wall(tmp_path / "run.journal", stops_late_s)
    again = run_virtual(replay(tmp_path / "run.journal"))
    assert len(seen) - len(again) <= math.ceil(stops_late_s)
    assert repr(again) == repr(seen[: len(again)])


def test_a_recorded_error_keeps_the_name_of_its_kind_and_of_its_device(tmp_path: Path) -> None:
    record(tmp_path / "run.journal", run_virtual)

    async def main() -> None:
        clock = UtcClock(asyncio.get_running_loop())
        with Journal.open(tmp_path / "run.journal", clock, readonly=True) as journal:
            with pytest.raises(JournalError, match="caught up"):
                ReplayTracer(journal, clock)
            journal.catch_up()
            tracer = ReplayTracer(journal, clock)
            bench = Bench(present=False)
            await journal.append("dosing", {"n": 0})
            reading = asyncio.ensure_future(tracer.call("heater", "read", {}, bench.read))
            with pytest.raises(RecordedDeviceError) as caught:
                await tracer.call("pump", "infuse", {"flow_ul_min": 80.0}, bench.infuse)
            assert type(caught.value).__name__ == "PumpStalledError"
            assert (str(caught.value), caught.value.device) == ("stalled at 80 µl/min", "pump")
            await reading

    run_virtual(main())


def test_another_argument_is_a_divergence_and_stays_the_first(tmp_path: Path) -> None:
    record(tmp_path / "run.journal", run_virtual)
    with pytest.raises(RecordDiffers) as caught:
        run_virtual(replay(tmp_path / "run.journal", flow=81.0))
    assert caught.value.where == "pump[0].a.flow_ul_min"
    assert (caught.value.expected, caught.value.got) == (80.0, 81.0)
    assert isinstance(caught.value, ReplayDivergence)


def test_an_experiment_too_many_is_a_divergence(tmp_path: Path) -> None:
    record(tmp_path / "run.journal", run_virtual, steps=2)
    with pytest.raises(RecordDiffers) as caught:
        run_virtual(replay(tmp_path / "run.journal", steps=3))
    assert caught.value.where == "kind"
    assert (caught.value.expected, caught.value.got) == ("ended", "dosing")


def test_a_record_that_breaks_off_ends_there(tmp_path: Path) -> None:
    async def cut_short() -> None:
        clock = UtcClock(asyncio.get_running_loop())
        with Journal.create(tmp_path / "run.journal", clock) as journal:
            running = asyncio.ensure_future(campaign(journal, RecordingTracer(journal, clock), Bench()))
            await asyncio.sleep(3.1)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    run_virtual(cut_short())
    with pytest.raises(EndOfRecord):
        run_virtual(replay(tmp_path / "run.journal"))


@pytest.mark.parametrize("cut_s", [0.0, 0.3, 0.5, 1.25, 1.3, 2.5, 3.75, 4.9])
def test_a_run_cut_anywhere_and_resumed_on_twins_equals_the_uninterrupted_one(tmp_path: Path, cut_s: float) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    record(whole, run_virtual)

    async def cut_short() -> None:
        clock = UtcClock(asyncio.get_running_loop())
        with Journal.create(cut, clock) as journal:
            running = asyncio.ensure_future(campaign(journal, RecordingTracer(journal, clock), Bench()))
            await asyncio.sleep(cut_s)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def resume() -> str:
        clock = UtcClock(asyncio.get_running_loop())
        with Journal.open(cut, clock) as journal:
            journal.catch_up()
            await campaign(journal, RecordingTracer(journal, clock), Bench())
            return journal.dump()

    run_virtual(cut_short())
    resumed = run_virtual(resume())
    with Journal.open(whole, readonly=True) as journal:
        assert resumed == journal.dump()


def test_a_stored_spectrum_can_be_loaded_at_once_and_from_the_record(tmp_path: Path) -> None:
    async def main() -> bytes:
        clock = UtcClock(asyncio.get_running_loop())
        with Journal.create(tmp_path / "run.journal", clock) as journal:
            tracer = RecordingTracer(journal, clock)

            async def acquire() -> str:
                return tracer.store(b"counts")

            address = await tracer.call("spectrometer", "acquire", {}, acquire)
            assert tracer.load(address) == b"counts"
            await journal.append("measured", {"spectra": [address]})
            return tracer.load(address)

    assert run_virtual(main()) == b"counts"
