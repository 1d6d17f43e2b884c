"""Interlocks without a campaign: in every state of the rig, latching, the root cause first, cleared by a person."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from orchestrator.clock.virtual_time import run_virtual
from orchestrator.journal.journal import RecordDiffers
from orchestrator.rig.devices import HeaterReading
from orchestrator.rig.rig import Rig, make_safe
from orchestrator.safety.interlocks import ACT_WITHIN_S, PUMP_PERIOD_S, WATCH_PERIOD_S, Interlocks
from orchestrator.safety.trips import Trip
from simulators.faults import FaultKind
from tests.orchestrator.rehearsal import rig_on_twins

Scene = Callable[[Rig, Interlocks, list[Trip]], Awaitable[None]]


def played(scene: Scene, **edits: str) -> tuple[Interlocks, list[Trip]]:
    """A rig on twins, connected and watched, and what a scene makes of it."""
    heard: list[Trip] = []

    async def tripped(trip: Trip) -> None:
        heard.append(trip)

    async def main() -> Interlocks:
        rig = rig_on_twins(**edits)
        await rig.connect()
        interlocks = Interlocks(rig)
        interlocks.start(tripped)
        await scene(rig, interlocks, heard)
        await interlocks.stop(tripped)
        await rig.close()
        return interlocks

    return run_virtual(main()), heard


def inject(rig: Rig, kind: FaultKind, target: str, **how: Any) -> None:
    rig.faults.inject(asyncio.get_running_loop(), kind, target, **how)


async def until_tripped(interlocks: Interlocks, patience_s: float) -> None:
    for _ in range(int(patience_s)):
        if interlocks.trip is not None:
            return
        await asyncio.sleep(1.0)
    raise AssertionError(f"nothing tripped within {patience_s:g} s")


async def quiet(step: str, ok: bool, detail: str) -> None:
    """Nobody listens."""


def test_a_rig_on_which_nothing_is_wrong_idles_heats_flows_and_is_made_safe_without_a_trip() -> None:
    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        await asyncio.sleep(600.0)
        await rig.heater.set_temperature(120.0)
        await rig.flow({"cs": 80.0, "pb": 80.0, "solvent": 200.0}, 3600.0)
        await asyncio.sleep(900.0)
        assert await make_safe(rig, quiet, forbids_flush=interlocks.forbids_flush)
        await asyncio.sleep(3600.0)

    interlocks, heard = played(scene)
    assert heard == []
    assert interlocks.trip is None
    assert set(interlocks.seen_s) == {"cs", "pb", "halide", "solvent", "oven", "mixer_pressure"}


@pytest.mark.parametrize("watchdog_s", [1, 5, 12])
def test_pumps_whose_watchdogs_are_short_are_spoken_to_in_time(watchdog_s: int) -> None:
    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        await rig.heater.set_temperature(120.0)
        await rig.flow({"cs": 80.0, "pb": 80.0, "solvent": 200.0}, 3600.0)
        await asyncio.sleep(600.0)
        assert {name: (await pump.status()).state for name, pump in rig.pumps.items()} == {
            "cs": "infusing",
            "pb": "infusing",
            "halide": "stopped",
            "solvent": "infusing",
        }
        assert await make_safe(rig, quiet, forbids_flush=interlocks.forbids_flush)
        assert sum(pump.newest.interruptions for pump in rig.pumps.values()) == 0

    assert played(scene, **{"safe_mode_timeout: 30 s": f"safe_mode_timeout: {watchdog_s} s"})[1] == []


@pytest.mark.parametrize(
    ("kind", "target", "interlock", "within_s"),
    [
        (FaultKind.SENSOR_BREAK, "oven", "heater fault", 10),
        (FaultKind.RELAY_WELDED, "oven", "heater runaway", 60),
        (FaultKind.BROKEN_WIRE, "mixer_pressure", "broken wire", 10),
        (FaultKind.PORT_LOSS, "pumps", "lost device", 60),
        (FaultKind.SILENCE, "oven", "lost device", 60),
    ],
)
def test_they_watch_a_rig_that_stands_idle(kind: FaultKind, target: str, interlock: str, within_s: int) -> None:
    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        await asyncio.sleep(120.0)
        inject(rig, kind, target, duration_s=3600.0)
        await until_tripped(interlocks, within_s)

    _, heard = played(scene)
    assert heard[0].interlock == interlock


def test_a_pump_that_somebody_starts_by_hand_is_seen_while_the_rig_idles() -> None:
    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        await asyncio.sleep(60.0)
        await rig.pumps["cs"].infuse(100.0, 1000.0)
        await until_tripped(interlocks, 30.0)

    _, heard = played(scene)
    assert (heard[0].interlock, heard[0].device) == ("flow not ordered", "cs")


def test_they_watch_during_the_safe_sequence_and_a_clog_there_ends_its_flush() -> None:
    said: list[tuple[str, bool, str]] = []

    async def report(step: str, ok: bool, detail: str) -> None:
        said.append((step, ok, detail))

    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        loop = asyncio.get_running_loop()
        await rig.heater.set_temperature(150.0)
        await rig.flow({"solvent": 400.0}, 3600.0)
        await asyncio.sleep(600.0)
        loop.call_later(10.0, lambda: inject(rig, FaultKind.CLOG, "reactor", size=1.0))
        began_s = loop.time()
        assert await make_safe(rig, report, forbids_flush=interlocks.forbids_flush)
        assert loop.time() - began_s < 60.0
        assert [(await pump.status()).state for pump in rig.pumps.values()] == ["stopped"] * 4

    _, heard = played(scene)
    assert heard[0].interlock in ("clog", "fast pressure rise", "over-pressure")
    flush = next(detail for step, ok, detail in said if step == "flush" and ok)
    assert "cut short" in flush


def looks_at(rig: Rig, device: str) -> list[float]:
    """When a device was asked for its reading, from now on."""
    begun: list[float] = []
    asked = rig.heater if device == rig.heater.name else rig.pumps[device]
    verb = "read" if device == rig.heater.name else "status"
    plain = getattr(asked, verb)

    async def read() -> Any:
        begun.append(asyncio.get_running_loop().time())
        return await plain()

    setattr(asked, verb, read)
    return begun


def test_looks_begin_at_their_period_however_long_a_look_takes() -> None:
    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        oven, pump = looks_at(rig, rig.heater.name), looks_at(rig, "cs")
        await asyncio.sleep(60.0)
        assert {round(later - earlier, 6) for earlier, later in pairwise(oven)} == {WATCH_PERIOD_S}
        assert {round(later - earlier, 6) for earlier, later in pairwise(pump)} == {PUMP_PERIOD_S}

    assert played(scene)[1] == []


def test_pumps_that_do_not_answer_keep_nobody_from_the_heater() -> None:
    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        oven = looks_at(rig, rig.heater.name)
        inject(rig, FaultKind.SILENCE, "pumps", duration_s=25.0)
        await asyncio.sleep(60.0)
        assert {round(later - earlier, 6) for earlier, later in pairwise(oven)} == {WATCH_PERIOD_S}

    assert played(scene)[1] == []


def test_a_round_that_takes_longer_than_its_period_leaves_the_line_to_others_all_the_same() -> None:
    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        begun = looks_at(rig, rig.heater.name)
        plain = rig.heater.read

        async def slow() -> HeaterReading:
            reading = await plain()
            await asyncio.sleep(1.5 * WATCH_PERIOD_S)
            return reading

        rig.heater.read = slow  # type: ignore[method-assign]
        await asyncio.sleep(60.0)
        assert min(later - earlier for earlier, later in pairwise(begun[1:])) > (1.5 + 0.25) * WATCH_PERIOD_S

    assert played(scene)[1] == []


def test_nothing_is_flushed_through_a_line_that_has_tripped() -> None:
    said: list[tuple[str, bool, str]] = []

    async def report(step: str, ok: bool, detail: str) -> None:
        said.append((step, ok, detail))

    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        interlocks.latch(Trip("leak", "mixer_pressure", 5.0, 20.0, "kPa"))
        await make_safe(rig, report, forbids_flush=interlocks.forbids_flush)

    played(scene)
    assert [(step, detail.split(":")[0]) for step, _, detail in said if step == "flush"] == [("flush", "left out")]


def test_the_first_trip_is_the_root_cause_and_what_follows_is_listed_behind_it_once() -> None:
    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        await rig.flow({"cs": 100.0, "pb": 100.0}, 3600.0)
        await asyncio.sleep(60.0)
        inject(rig, FaultKind.PORT_LOSS, "pumps", duration_s=3600.0)
        await until_tripped(interlocks, 60.0)
        root = interlocks.trip
        inject(rig, FaultKind.SENSOR_BREAK, "oven", duration_s=3600.0)
        await asyncio.sleep(300.0)
        assert interlocks.trip is root

    interlocks, heard = played(scene)
    assert heard[0].interlock == "lost device"
    assert ("heater fault", "oven") in [(trip.interlock, trip.device) for trip in interlocks.trips[1:]]
    assert tuple(heard) == interlocks.trips
    assert len({(trip.interlock, trip.device) for trip in heard}) == len(heard)


def test_a_trip_stays_when_its_cause_has_gone_and_goes_when_a_person_clears_it() -> None:
    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        inject(rig, FaultKind.BROKEN_WIRE, "mixer_pressure", duration_s=30.0)
        await asyncio.sleep(600.0)
        assert interlocks.trip is not None
        assert interlocks.clear() == tuple(heard)
        assert interlocks.trip is None
        await asyncio.sleep(600.0)
        assert interlocks.trip is None
        assert len(heard) == 1

    played(scene)


def test_what_still_holds_when_it_is_cleared_trips_again() -> None:
    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        inject(rig, FaultKind.SENSOR_BREAK, "oven", duration_s=3600.0)
        await until_tripped(interlocks, 10.0)
        interlocks.clear()
        await until_tripped(interlocks, 10.0)
        assert len(heard) == 2

    played(scene)


def test_a_trip_of_an_earlier_sitting_is_still_latched() -> None:
    earlier = Trip("over-temperature", "oven", 200.0, 190.0, "°C")

    async def main() -> None:
        interlocks = Interlocks(rig_on_twins(), latched=[earlier])
        assert interlocks.trip == earlier
        assert interlocks.latch(earlier) is False

    run_virtual(main())


def test_where_nobody_acts_on_a_trip_the_interlocks_take_the_heaters_power_away_themselves() -> None:
    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        await rig.heater.set_temperature(100.0)
        await asyncio.sleep(300.0)
        inject(rig, FaultKind.BROKEN_WIRE, "mixer_pressure", duration_s=3600.0)
        await until_tripped(interlocks, 30.0)
        await asyncio.sleep(ACT_WITHIN_S / 2.0)
        assert (await rig.heater.read()).output_fraction > 0.0
        await asyncio.sleep(ACT_WITHIN_S)
        assert (await rig.heater.read()).output_fraction == 0.0

    played(scene)


def test_a_heater_that_does_not_tell_its_output_loses_its_power_too_where_nobody_acts_on_a_trip() -> None:
    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        true = rig.heater.read

        async def untold() -> HeaterReading:
            reading = await true()
            return replace(reading, output_fraction=math.nan) if reading.output_fraction > 0.0 else reading

        rig.heater.read = untold  # type: ignore[method-assign]
        await rig.heater.set_temperature(100.0)
        await asyncio.sleep(300.0)
        inject(rig, FaultKind.BROKEN_WIRE, "mixer_pressure", duration_s=3600.0)
        await until_tripped(interlocks, 30.0)
        await asyncio.sleep(1.5 * ACT_WITHIN_S)
        assert (await true()).output_fraction == 0.0

    played(scene)


def test_a_heater_that_tells_neither_a_temperature_nor_a_fault_trips() -> None:
    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        true = rig.heater.read

        async def blind() -> HeaterReading:
            return replace(await true(), temperature_c=math.nan)

        rig.heater.read = blind  # type: ignore[method-assign]
        await until_tripped(interlocks, 10.0)

    _, heard = played(scene)
    assert (heard[0].interlock, heard[0].device) == ("heater fault", "oven")


def test_a_listener_that_hangs_or_fails_blinds_nobody() -> None:
    async def hangs(trip: Trip) -> None:
        await asyncio.get_running_loop().create_future()

    async def fails(trip: Trip) -> None:
        raise OSError("disk full")

    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        interlocks.start(hangs)
        interlocks.start(fails)
        inject(rig, FaultKind.BROKEN_WIRE, "mixer_pressure", duration_s=3600.0)
        await until_tripped(interlocks, 30.0)
        inject(rig, FaultKind.SENSOR_BREAK, "oven", duration_s=3600.0)
        await asyncio.sleep(30.0)
        assert [trip.interlock for trip in heard] == ["broken wire", "heater fault"]

    played(scene)


def test_a_temperature_above_the_limit_and_its_overshoot_trips() -> None:
    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        true = rig.heater.read

        async def hot() -> HeaterReading:
            return replace(await true(), temperature_c=190.5)

        rig.heater.read = hot  # type: ignore[method-assign]
        await until_tripped(interlocks, 10.0)

    _, heard = played(scene)
    assert (heard[0].interlock, heard[0].value, heard[0].limit) == ("over-temperature", 190.5, 190.0)


def test_a_check_that_never_answers_is_a_stale_reading() -> None:
    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        async def never() -> HeaterReading:
            never: asyncio.Future[HeaterReading] = asyncio.get_running_loop().create_future()
            return await never

        rig.heater.read = never  # type: ignore[method-assign]
        await until_tripped(interlocks, 60.0)

    _, heard = played(scene)
    assert (heard[0].interlock, heard[0].device) == ("stale reading", "oven")


def test_a_replay_that_goes_another_way_is_no_trip_and_ends_the_looks(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        await asyncio.sleep(10.0)
        looks = 0

        async def read() -> HeaterReading:
            nonlocal looks
            looks += 1
            raise RecordDiffers(7, "device call", "oven[3].v", "read", "heater_off")

        monkeypatch.setattr(rig.heater, "read", read)
        await asyncio.sleep(600.0)
        assert looks == 1

    interlocks, heard = played(scene)
    assert (interlocks.trip, heard, caplog.records) == (None, [], [])
