"""What every driver owes its rig, over its twin in memory: the same sentences for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import math
from typing import Any

import pytest

import drivers
from drivers import (
    DriverError,
    FolderSpectrometer,
    OceanSpectrometer,
    OutOfRangeError,
    Phase,
    PortError,
    PumpState,
    Quality,
    RecoveringGas,
    RecoveringHeater,
    RecoveringPhase,
    RecoveringPressure,
    RecoveringPump,
    RecoveringValve,
    RecoveryRules,
    Rung,
    WireTimeoutError,
)
from orchestrator.clock.virtual_time import run_virtual
from simulators.wire_faults import WireFaults
from tests.contract.heaters import Tap
from tests.contract.plants import FaultyWire
from tests.contract.table import ENTRIES, Bench, Entry, Role, now_s

every = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
that_sets = pytest.mark.parametrize(
    "entry", [entry for entry in ENTRIES if entry.role not in ("pressure", "phase")], ids=lambda entry: entry.name
)
LADDERS: dict[Role, Any] = {
    "pump": RecoveringPump,
    "heater": RecoveringHeater,
    "pressure": RecoveringPressure,
    "phase": RecoveringPhase,
    "valve": RecoveringValve,
    "gas": RecoveringGas,
}
WANTED = {"pump": 60.0, "heater": 80.0, "valve": 4, "gas": 12.0}
SILENCE_BOUND_S = 6.0


async def put(role: Role, device: Any) -> Any:
    """The setting of the role, from any state; returns what the driver says took effect."""
    if role == "pump":
        return await device.infuse(60.0, 100.0)
    if role == "heater":
        return await device.set_temperature(80.0)
    if role == "gas":
        return await device.set_flow(12.0)
    assert role == "valve"
    await device.move(4)
    return await device.position()


async def reading_of(role: Role, device: Any) -> Any:
    if role == "pump":
        return await device.status()
    return await (device.position() if role == "valve" else device.read())


async def rest(role: Role, device: Any) -> None:
    """What leaves the device without motion, heat or flow."""
    if role == "heater":
        await device.heater_off()
    elif role in ("pump", "gas"):
        await device.stop()
    elif role == "valve":
        await device.move(1)


def does(role: Role, plant: Any) -> Any:
    """What the plant behind the twin does."""
    if role == "heater":
        return round(plant.target_c, 2) if plant.automatic else None
    if role == "gas":
        return pytest.approx(plant.set_point, abs=0.006)
    return plant.flow_ul_min if role == "pump" else plant.at


RESTING = {"pump": 0.0, "heater": None, "valve": 1, "gas": 0.0}


def check_reading(role: Role, value: Any, *, second: bool = False) -> None:
    """The truth, of a device that was set by :func:`put` (or of the second one, which was not)."""
    if role == "pressure":
        assert value.pressure_kpa == pytest.approx(300.0 if second else 500.0, abs=0.1)
    elif role == "phase":
        assert value.phase is (Phase.GAS if second else Phase.LIQUID)
    elif role == "pump":
        assert value.state is PumpState.INFUSING
    elif role == "heater":
        assert value.set_point_c == pytest.approx(80.0, abs=0.06)
    elif role == "gas":
        assert value.set_point_mln_min == pytest.approx(12.0, abs=0.01)
    else:
        assert value == 4


@every
def test_it_connects_and_says_who_it_is(entry: Entry) -> None:
    async def main() -> None:
        bench = entry.bench()
        device = entry.driver(entry.connection(bench.twin), "mine")
        assert device.name == "mine"
        identity = await device.connect()
        assert isinstance(identity, str)
        assert identity.strip()
        assert await device.connect() == identity
        await device.close()

    run_virtual(main())


@that_sets
def test_what_is_set_is_read_back_and_done(entry: Entry) -> None:
    async def main() -> None:
        bench = entry.bench()
        device = entry.driver(entry.connection(bench.twin), "mine")
        await device.connect()
        assert await put(entry.role, device) == pytest.approx(WANTED[entry.role], rel=1e-3)
        assert does(entry.role, bench.plant) == WANTED[entry.role]
        check_reading(entry.role, await reading_of(entry.role, device))

    run_virtual(main())


@that_sets
def test_out_of_range_is_refused_with_the_range_and_nothing_is_sent(entry: Entry) -> None:
    async def main() -> None:
        bench = entry.bench()
        tap = Tap(bench.twin)
        device = entry.driver(entry.connection(tap), "mine")
        await device.connect()
        said = len(tap.said)
        wrong: list[Any] = [-1e9, 1e9] if entry.role == "valve" else [-1e9, 1e9, math.nan, math.inf]
        for value in wrong:
            with pytest.raises(OutOfRangeError, match="outside") as caught:
                if entry.role == "pump":
                    await device.infuse(value, 100.0)
                elif entry.role == "heater":
                    await device.set_temperature(value)
                elif entry.role == "gas":
                    await device.set_flow(value)
                else:
                    await device.move(int(value))
            assert caught.value.low < caught.value.high
            assert (caught.value.device.partition("/")[0], caught.value.port) == ("mine", tap_port(entry))
        if entry.role == "pump":
            for volume_ul in (0.0, -1.0, 1e9, math.nan):
                with pytest.raises(OutOfRangeError, match="volume"):
                    await device.infuse(60.0, volume_ul)
        assert len(tap.said) == said

    run_virtual(main())


def tap_port(entry: Entry) -> str:
    return "memory:502" if entry.wire == "tcp" else "memory"


@that_sets
def test_the_same_setting_again_changes_nothing(entry: Entry) -> None:
    async def main() -> None:
        bench = entry.bench()
        device = entry.driver(entry.connection(bench.twin), "mine")
        await device.connect()
        await put(entry.role, device)
        orders = list(getattr(bench.plant, "commands", ())), list(getattr(bench.plant, "turns", ()))
        await put(entry.role, device)
        assert does(entry.role, bench.plant) == WANTED[entry.role]
        if entry.role in ("pump", "valve"):
            assert orders == (list(getattr(bench.plant, "commands", ())), list(getattr(bench.plant, "turns", ())))

    run_virtual(main())


@that_sets
def test_rest_is_reached_from_any_state_and_may_be_said_twice(entry: Entry) -> None:
    async def main() -> None:
        bench = entry.bench()
        device = entry.driver(entry.connection(bench.twin), "mine")
        await device.connect()
        await rest(entry.role, device)
        assert does(entry.role, bench.plant) == RESTING[entry.role]
        for _ in range(2):
            await put(entry.role, device)
            await rest(entry.role, device)
            assert does(entry.role, bench.plant) == RESTING[entry.role]
            await rest(entry.role, device)
        assert does(entry.role, bench.plant) == RESTING[entry.role]

    run_virtual(main())


def laddered(entry: Entry, bench: Bench, wire: WireFaults, bound_s: float = 60.0) -> Any:
    connection = entry.connection(wire.around(bench.twin), gate=wire)
    return LADDERS[entry.role](entry.driver(connection, "mine"), RecoveryRules(bound_s=bound_s), seed=3)


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.role == "heater"], ids=lambda entry: entry.name)
@pytest.mark.parametrize("stale", range(8))
def test_a_heater_is_not_believed_to_be_off_for_an_answer_to_an_earlier_question(entry: Entry, stale: int) -> None:
    answers: list[bytes] = []
    due: list[int] = []

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        answers.append(data)
        return [(0.0, answers[-2] if len(answers) - 1 in due else data)]

    async def main() -> None:
        bench = entry.bench()
        device = entry.driver(entry.connection(FaultyWire(bench.twin, bend)), "one")
        await device.connect()
        await put(entry.role, device)
        await device.refresh()
        due.append(len(answers) + stale)
        with contextlib.suppress(DriverError):
            await device.heater_off()
            assert does(entry.role, bench.plant) is None

    run_virtual(main())


@every
def test_a_reading_carries_its_time_age_and_quality(entry: Entry) -> None:
    async def main() -> None:
        bench = entry.bench()
        wire = WireFaults(seed=1)
        device = laddered(entry, bench, wire)
        await device.connect()
        await reading_of(entry.role, device)
        latest = device.latest
        read_s = now_s()
        assert (latest.quality, latest.time_s, latest.age_s(read_s + 5.0)) == (Quality.GOOD, read_s, 5.0)
        wire.lose_port()
        with pytest.raises(DriverError):
            await asyncio.wait_for(reading_of(entry.role, device), 120.0)
        assert device.rung is Rung.LOST
        assert (device.latest.quality, device.latest.time_s) == (Quality.BAD, read_s)

    run_virtual(main())


@every
def test_unplugged_it_names_itself_and_its_port(entry: Entry) -> None:
    async def main() -> None:
        bench = entry.bench()
        wire = WireFaults(seed=1)
        device = entry.driver(entry.connection(wire.around(bench.twin), gate=wire), "mine")
        await device.connect()
        wire.lose_port()
        for _ in range(2):
            with pytest.raises(PortError) as caught:
                await reading_of(entry.role, device)
            assert (caught.value.device.partition("/")[0], caught.value.port) == ("mine", tap_port(entry))
        await device.close()
        with pytest.raises(PortError) as caught:
            await device.connect()
        assert (caught.value.device.partition("/")[0], caught.value.port) == ("mine", tap_port(entry))

    run_virtual(main())


@every
@pytest.mark.parametrize("how", ["unplugged", "silent"])
def test_an_outage_is_survived_by_reading_first_and_replaying_nothing(entry: Entry, how: str) -> None:
    async def main() -> None:
        bench = entry.bench()
        wire = WireFaults(seed=1)
        tap = Tap(wire.around(bench.twin))
        device = LADDERS[entry.role](
            entry.driver(entry.connection(tap, gate=wire), "mine"), RecoveryRules(bound_s=60.0), seed=3
        )
        await device.connect()
        if entry.role in WANTED:
            await put(entry.role, device)
        plant = bench.plant
        orders = list(getattr(plant, "commands", ())), list(getattr(plant, "turns", ()))
        loop = asyncio.get_running_loop()
        if how == "unplugged":
            wire.lose_port()
            loop.call_later(12.0, wire.restore_port)
        else:
            wire.silent = True
            loop.call_later(12.0, setattr, wire, "silent", False)
        began_s = now_s()
        check_reading(entry.role, await reading_of(entry.role, device))
        assert 11.9 < now_s() - began_s < 30.0
        assert device.outages == 1
        assert device.rung is Rung.WORKING
        assert device.latest.quality is Quality.GOOD
        assert (list(getattr(plant, "commands", ())), list(getattr(plant, "turns", ()))) == orders
        if entry.role in WANTED:
            assert does(entry.role, plant) == WANTED[entry.role]
            await rest(entry.role, device)
            assert does(entry.role, plant) == RESTING[entry.role]

    run_virtual(main())


@every
def test_a_silent_device_is_a_timeout_within_a_bound(entry: Entry) -> None:
    async def main() -> None:
        bench = entry.bench()
        wire = WireFaults(seed=1)
        device = entry.driver(entry.connection(wire.around(bench.twin)), "mine")
        await device.connect()
        wire.silent = True
        for act in (reading_of(entry.role, device), device.connect()):
            began_s = now_s()
            with pytest.raises(WireTimeoutError) as caught:
                await act
            assert now_s() - began_s < SILENCE_BOUND_S
            assert (caught.value.device.partition("/")[0], caught.value.port) == ("mine", tap_port(entry))

    run_virtual(main())


@every
@pytest.mark.parametrize("garbage", [b"\x00", b"\xff\xfe7", b"A?S\r\n", b"\x02garbage\x03\r\n"])
def test_garbage_before_an_answer_is_survived_or_refused_never_believed(entry: Entry, garbage: bytes) -> None:
    spoilt = 0

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        nonlocal spoilt
        spoilt -= spoilt > 0
        return [(0.0, garbage + data if spoilt else data)]

    async def main() -> None:
        nonlocal spoilt
        bench = entry.bench()
        device = entry.driver(entry.connection(FaultyWire(bench.twin, bend)), "mine")
        await device.connect()
        for count in (1, 2, 3, 9):
            if entry.role in WANTED:
                spoilt = count
                try:
                    assert await put(entry.role, device) == pytest.approx(WANTED[entry.role], rel=1e-3)
                    assert does(entry.role, bench.plant) == WANTED[entry.role]
                except DriverError as error:
                    assert "mine" in str(error)
                spoilt = 0
                await device.connect()
                await put(entry.role, device)
            spoilt = count
            try:
                check_reading(entry.role, await reading_of(entry.role, device))
            except DriverError as error:
                assert "mine" in str(error)
            spoilt = 0
            check_reading(entry.role, await reading_of(entry.role, device))

    run_virtual(main())


@every
def test_close_is_idempotent_and_leaves_the_device_as_it_is(entry: Entry) -> None:
    """A pump keeps its bound, a controller its set-point; what a rig wants off it switches off before."""

    async def main() -> None:
        bench = entry.bench()
        device = entry.driver(entry.connection(bench.twin), "mine")
        await device.close()
        await device.connect()
        if entry.role in WANTED:
            await put(entry.role, device)
        for _ in range(2):
            await device.close()
        if entry.role in WANTED:
            assert does(entry.role, bench.plant) == WANTED[entry.role]
        if entry.role == "pump":
            await asyncio.sleep(200.0)
            assert bench.plant.flow_ul_min == 0.0
        await device.connect()
        await reading_of(entry.role, device)
        await device.close()

    run_virtual(main())


@pytest.mark.parametrize("entry", [entry for entry in ENTRIES if entry.second], ids=lambda entry: entry.name)
def test_two_devices_on_one_line_do_not_mix(entry: Entry) -> None:
    async def main() -> None:
        assert entry.second is not None
        bench = entry.bench()
        line = entry.connection(bench.twin)
        one, two = entry.driver(line, "one"), entry.second(line, "two")
        await asyncio.gather(one.connect(), two.connect())
        if entry.role in WANTED:
            await put(entry.role, one)
            assert does(entry.role, bench.plant) == WANTED[entry.role]
            assert does(entry.role, bench.second) != WANTED[entry.role]
            await asyncio.gather(*(reading_of(entry.role, device) for device in (one, two) for _ in range(5)))
            await asyncio.gather(rest(entry.role, one), put(entry.role, two))
            assert does(entry.role, bench.plant) == RESTING[entry.role]
            assert does(entry.role, bench.second) == WANTED[entry.role]
        else:
            for _ in range(3):
                seen = await asyncio.gather(reading_of(entry.role, one), reading_of(entry.role, two))
                check_reading(entry.role, seen[0])
                check_reading(entry.role, seen[1], second=True)
        await one.close()
        await reading_of(entry.role, two)
        await two.close()

    run_virtual(main())


@every
def test_a_caller_cancelled_in_mid_exchange_leaves_the_line_usable(entry: Entry) -> None:
    async def main() -> None:
        bench = entry.bench()
        device = entry.driver(entry.connection(bench.twin), "mine")
        await device.connect()
        if entry.role in WANTED:
            await put(entry.role, device)
        for after_s in (0.0005, 0.003, 0.008, 0.02, 0.05):
            reading = asyncio.ensure_future(reading_of(entry.role, device))
            await asyncio.sleep(after_s)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            check_reading(entry.role, await reading_of(entry.role, device))

    run_virtual(main())


def test_every_driver_that_the_package_shows_is_in_the_table() -> None:
    async def main() -> set[type]:
        covered: set[type] = set()
        for entry in ENTRIES:
            covered.add(type(entry.driver(entry.connection(entry.bench().twin), "mine")))
        return covered

    shown = {
        value
        for value in vars(drivers).values()
        if inspect.isclass(value) and hasattr(value, "connect") and not value.__name__.startswith("Recovering")
    }
    # The spectrometers have their own page: tests/contract/test_every_spectrometer.py.
    assert shown - run_virtual(main()) == {OceanSpectrometer, FolderSpectrometer}


def test_every_role_has_its_ladder() -> None:
    shown = {value for name, value in vars(drivers).items() if name.startswith("Recovering")}
    assert shown == {*LADDERS.values(), drivers.RecoveringSpectrometer}
