"""Records by the wall's clock: followed by task, verb and arguments; what was a look apart is told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from orchestrator.canonical import JSON
from orchestrator.clock.virtual_time import UtcClock, run_virtual
from orchestrator.journal.journal import Journal, RecordDiffers
from orchestrator.rig.devices import ASKED_BY
from orchestrator.rig.tracing import RecordingTracer, ReplayTracer

Tracer = RecordingTracer | ReplayTracer


async def two_on_one_device(journal: Journal, tracer: Tracer, late_s: float, verb: str = "refresh") -> list[Any]:
    """One task looks at the oven, another refreshes it, the latter late by what the machine is busy with."""

    async def read() -> JSON:
        await asyncio.sleep(0.05)
        return 21.5

    async def refresh() -> JSON:
        await asyncio.sleep(0.05)
        return None

    async def looks() -> JSON:
        await asyncio.sleep(0.1)
        return await tracer.call("oven", "read", {}, read)

    async def refreshes() -> JSON:
        await asyncio.sleep(late_s)
        return await tracer.call("oven", verb, {}, refresh)

    await journal.append("dosing", {})
    seen = list(await asyncio.gather(looks(), refreshes()))
    await journal.append("told", {"seen": seen})
    return seen


def two_recorded(path: Path, *, by_the_wall: bool) -> None:
    async def main() -> None:
        clock = UtcClock(asyncio.get_running_loop())
        clock.virtual = not by_the_wall
        with Journal.create(path, clock) as journal:
            await two_on_one_device(journal, RecordingTracer(journal, clock), late_s=0.2)

    run_virtual(main())


async def two_replayed(path: Path, verb: str = "refresh") -> list[Any]:
    clock = UtcClock(asyncio.get_running_loop())
    with Journal.open(path, clock, readonly=True) as journal:
        journal.catch_up()
        return await two_on_one_device(journal, ReplayTracer(journal, clock), 0.0, verb)


def test_by_the_wall_tasks_may_come_to_a_device_in_another_order_than_then(tmp_path: Path) -> None:
    two_recorded(tmp_path / "run.journal", by_the_wall=True)
    assert run_virtual(two_replayed(tmp_path / "run.journal")) == [21.5, None]


def test_in_virtual_time_another_order_is_a_divergence(tmp_path: Path) -> None:
    two_recorded(tmp_path / "run.journal", by_the_wall=False)
    with pytest.raises(RecordDiffers):
        run_virtual(two_replayed(tmp_path / "run.journal"))


def test_by_the_wall_too_a_call_that_was_not_made_then_is_a_divergence(tmp_path: Path) -> None:
    two_recorded(tmp_path / "run.journal", by_the_wall=True)
    with pytest.raises(RecordDiffers) as caught:
        run_virtual(two_replayed(tmp_path / "run.journal", verb="hold"))
    assert (caught.value.expected, caught.value.got) == ("refresh", "hold")


async def two_looks_at_one_oven(
    journal: Journal, tracer: Tracer, names: tuple[str, str], after_s: tuple[float, float]
) -> list[float]:
    """Conductor and interlocks, each after so long, look at an oven that is warmer from one look to the next."""
    looks = 0

    async def read() -> JSON:
        nonlocal looks
        looks += 1
        return 20.0 + looks

    async def look(name: str, wait_s: float) -> float:
        ASKED_BY.set(name)
        await asyncio.sleep(wait_s)
        found: float = await tracer.call("oven", "read", {}, read)
        return found

    await journal.append("dosing", {})
    seen = await asyncio.gather(*(look(name, wait_s) for name, wait_s in zip(names, after_s, strict=True)))
    await journal.append("told", {"seen": seen})
    return seen


def looks_recorded(path: Path, names: tuple[str, str]) -> None:
    async def main() -> None:
        clock = UtcClock(asyncio.get_running_loop())
        clock.virtual = False
        with Journal.create(path, clock) as journal:
            await two_looks_at_one_oven(journal, RecordingTracer(journal, clock), names, (0.2, 0.1))

    run_virtual(main())


def looks_replayed(path: Path, after_s: tuple[float, float]) -> list[float]:
    async def main() -> list[float]:
        clock = UtcClock(asyncio.get_running_loop())
        with Journal.open(path, clock, readonly=True) as journal:
            journal.catch_up()
            return await two_looks_at_one_oven(journal, ReplayTracer(journal, clock), ("", "watch"), after_s)

    return run_virtual(main())


def test_by_the_wall_each_task_is_answered_with_what_it_saw_itself(tmp_path: Path) -> None:
    looks_recorded(tmp_path / "run.journal", ("", "watch"))
    assert looks_replayed(tmp_path / "run.journal", (0.0, 0.1)) == [22.0, 21.0]


def test_by_the_wall_a_look_that_another_task_made_then_is_not_this_ones(tmp_path: Path) -> None:
    looks_recorded(tmp_path / "run.journal", ("", "pumps"))
    with pytest.raises(RecordDiffers, match="oven"):
        looks_replayed(tmp_path / "run.journal", (0.2, 0.1))


def test_where_a_record_names_no_task_looks_are_answered_in_its_order(tmp_path: Path) -> None:
    looks_recorded(tmp_path / "run.journal", ("", ""))
    assert looks_replayed(tmp_path / "run.journal", (0.2, 0.1)) == [22.0, 21.0]


async def an_event_beside_a_look(journal: Journal, tracer: Tracer, look_s: float) -> Any:
    """Interlocks look at an oven while the conductor, which knows nothing of it, writes an event."""

    async def read() -> JSON:
        return 21.5

    async def looks() -> JSON:
        ASKED_BY.set("watch")
        await asyncio.sleep(look_s)
        return await tracer.call("oven", "read", {}, read)

    looking = asyncio.ensure_future(looks())
    await asyncio.sleep(0.3)
    await journal.append("told", {})
    seen = await looking
    await journal.append("ended", {})
    return seen


@pytest.mark.parametrize(("late_s", "same"), [(0.05, True), (0.9, True), (1.1, False)])
def test_by_the_wall_an_event_waits_a_second_for_a_look_that_it_has(tmp_path: Path, late_s: float, same: bool) -> None:
    async def write() -> None:
        clock = UtcClock(asyncio.get_running_loop())
        clock.virtual = False
        with Journal.create(tmp_path / "run.journal", clock) as journal:
            await an_event_beside_a_look(journal, RecordingTracer(journal, clock), look_s=0.2)

    async def again() -> Any:
        clock = UtcClock(asyncio.get_running_loop())
        with Journal.open(tmp_path / "run.journal", clock, readonly=True) as journal:
            journal.catch_up()
            return await an_event_beside_a_look(journal, ReplayTracer(journal, clock), look_s=0.3 + late_s)

    run_virtual(write())
    if same:
        assert run_virtual(again()) == 21.5
        return
    with pytest.raises(RecordDiffers, match="oven"):
        run_virtual(again())


async def looks_beside_an_event(journal: Journal, tracer: Tracer, looks_s: tuple[float, ...]) -> float:
    """Interlocks look at an oven that gets warmer by a degree a second; what they saw last."""
    loop = asyncio.get_running_loop()
    began_s, seen = loop.time(), 0.0

    async def read() -> JSON:
        return 20.0 + loop.time() - began_s

    ASKED_BY.set("watch")
    for look_s in looks_s:
        await asyncio.sleep(began_s + look_s - loop.time())
        seen = await tracer.call("oven", "read", {}, read)
    await journal.append("told", {"seen": seen})
    return seen


@pytest.mark.parametrize("looks_s", [(10.0,), (1.0, 10.0), (0.0, 1.0, 9.0)])
def test_by_the_wall_a_look_less_or_more_puts_none_of_the_others_off(
    tmp_path: Path, looks_s: tuple[float, ...]
) -> None:
    async def write() -> None:
        clock = UtcClock(asyncio.get_running_loop())
        clock.virtual = False
        with Journal.create(tmp_path / "run.journal", clock) as journal:
            await looks_beside_an_event(journal, RecordingTracer(journal, clock), (0.0, 1.0, 10.0))

    async def again() -> float:
        clock = UtcClock(asyncio.get_running_loop())
        with Journal.open(tmp_path / "run.journal", clock, readonly=True) as journal:
            journal.catch_up()
            return await looks_beside_an_event(journal, ReplayTracer(journal, clock), looks_s)

    run_virtual(write())
    assert run_virtual(again()) == 30.0


@pytest.mark.parametrize(
    ("detail", "same"),
    [
        ("64 s at 400 µL/min, down to 59.0 °C", True),
        ("63 s at 400 µL/min, down to 58.0 °C", False),
        ("64 steps", False),
    ],
)
def test_by_the_wall_a_text_may_tell_another_duration_and_nothing_else(tmp_path: Path, detail: str, same: bool) -> None:
    async def write() -> None:
        clock = UtcClock(asyncio.get_running_loop())
        clock.virtual = False
        with Journal.create(tmp_path / "run.journal", clock) as journal:
            await journal.append("safe_step", {"detail": "63 s at 400 µL/min, down to 59.0 °C"})

    async def again() -> None:
        clock = UtcClock(asyncio.get_running_loop())
        with Journal.open(tmp_path / "run.journal", clock, readonly=True) as journal:
            journal.catch_up()
            await journal.append("safe_step", {"detail": detail})

    run_virtual(write())
    if same:
        run_virtual(again())
        return
    with pytest.raises(RecordDiffers) as caught:
        run_virtual(again())
    assert caught.value.where == "data.detail"


@pytest.mark.parametrize(("name", "by_the_wall"), [("pressure_kpa", True), ("pressure_kpa", False), ("peak_ev", True)])
def test_by_the_wall_a_pressure_may_be_that_of_another_look_and_is_told(
    tmp_path: Path, name: str, by_the_wall: bool
) -> None:
    async def write() -> None:
        clock = UtcClock(asyncio.get_running_loop())
        clock.virtual = not by_the_wall
        with Journal.create(tmp_path / "run.journal", clock) as journal:
            await journal.append("measured", {name: 43.0})

    async def again() -> list[str]:
        clock = UtcClock(asyncio.get_running_loop())
        with Journal.open(tmp_path / "run.journal", clock, readonly=True) as journal:
            journal.catch_up()
            event = await journal.append("measured", {name: 42.75})
            assert event.data[name] == 43.0
            return list(map(str, journal.record.apart))

    run_virtual(write())
    if by_the_wall and name == "pressure_kpa":
        assert run_virtual(again()) == ["event 1, data.pressure_kpa: 43 then, 42.75 now"]
        return
    with pytest.raises(RecordDiffers):
        run_virtual(again())
