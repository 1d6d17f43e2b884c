"""What heaters owe their rig beyond what every driver does; see tests/contract/test_every_driver.py."""

from __future__ import annotations

import asyncio
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import DriverError, RecoveringHeater, RecoveryRules
from orchestrator.clock.virtual_time import run_virtual
from orchestrator.rig.devices import HeaterDriver
from simulators.links import Emit, Loop, StreamTwin
from tests.contract.heaters import EUROTHERM, EVERY, IKA, LineMake, ModbusMake
from tests.contract.plants import FaultyWire, LaggingHeater

Make = ModbusMake | LineMake
every_make = pytest.mark.parametrize("make", EVERY, ids=lambda make: make.name)
that_climbs = pytest.mark.parametrize("make", [*EVERY, EUROTHERM], ids=lambda make: make.name)
"""Of the ladder around a heater: also one whose set-point only lasts for as long as it is renewed."""


@every_make
def test_a_heater_is_set_read_and_switched_off(make: Make) -> None:
    async def main() -> None:
        plant = LaggingHeater()
        heater: HeaterDriver = make.in_memory(plant)
        assert await heater.connect()
        assert plant.target_c == 20.0
        assert await heater.set_temperature(120.04) == pytest.approx(120.04, abs=0.0501)
        assert plant.output_fraction(asyncio.get_running_loop().time()) == pytest.approx(0.5, abs=0.001)
        for _ in range(30):
            await asyncio.sleep(20.0)
            await heater.refresh()
        reading = await heater.read()
        assert reading.temperature_c == pytest.approx(120.0, abs=0.2)
        assert reading.set_point_c == pytest.approx(120.0, abs=0.051)
        assert make is IKA or reading.output_fraction == pytest.approx(0.5, abs=0.006)
        assert not (reading.sensor_break or reading.loop_break or reading.heater_fail)
        assert not (reading.out_of_range or reading.alarm)
        await heater.heater_off()
        assert not plant.automatic
        reading = await heater.read()
        assert reading.output_fraction == 0.0
        assert reading.set_point_c == pytest.approx(20.0, abs=1e-3)
        assert not reading.heater_fail
        await heater.set_temperature(80.0)
        assert plant.target_c == pytest.approx(80.0, abs=1e-3)
        await heater.close()

    run_virtual(main())


@every_make
def test_a_set_point_that_the_device_does_not_take_is_an_error(make: Make) -> None:
    """The twins end at 200 to 310 °C: some refuse more, some keep what they had, one moves it in silence."""

    async def main() -> None:
        plant = LaggingHeater()
        heater = make.in_memory(plant, set_point_range_c=(0.0, 400.0))
        await heater.connect()
        await heater.set_temperature(100.0)
        with pytest.raises(DriverError, match=f"{make.name} on memory"):
            await heater.set_temperature(350.0)
        await heater.heater_off()
        assert not plant.automatic

    run_virtual(main())


@every_make
def test_refresh_restores_a_changed_set_point_but_never_switches_on(make: Make) -> None:
    async def main() -> None:
        plant = LaggingHeater()
        twin = make.port(plant)
        heater, panel = make.in_memory(plant, lambda _: twin), make.in_memory(plant, lambda _: twin)
        await heater.connect()
        await heater.refresh()
        assert plant.target_c == 20.0
        await heater.set_temperature(110.0)
        await heater.close()
        await panel.connect()
        await panel.set_temperature(50.0)
        await panel.close()
        await heater.connect()
        await heater.refresh()
        assert plant.target_c == pytest.approx(110.0, abs=1e-3)
        await heater.close()
        await panel.connect()
        await panel.heater_off()
        await panel.close()
        await heater.connect()
        await heater.refresh()
        assert not plant.automatic
        assert (await heater.read()).heater_fail

    run_virtual(main())


@that_climbs
def test_an_outage_in_which_somebody_switched_it_off_is_not_ended_by_heating_again(make: Make) -> None:
    async def main() -> None:
        plant = LaggingHeater()
        heater, panel, wire = two_at_one(make, plant)
        await heater.connect()
        await heater.set_temperature(110.0)
        wire.silent = True
        reading = asyncio.ensure_future(heater.read())
        await asyncio.sleep(8.0)
        await panel.connect()
        await panel.heater_off()
        wire.silent = False
        assert (await reading).heater_fail
        await asyncio.sleep(10.0)
        assert (await heater.read()).heater_fail
        assert not plant.automatic
        assert heater.outages == 1

    run_virtual(main())


@that_climbs
def test_a_heater_that_was_off_is_switched_off_again_after_an_outage(make: Make) -> None:
    async def main() -> None:
        plant = LaggingHeater()
        heater, panel, wire = two_at_one(make, plant)
        await heater.connect()
        await heater.set_temperature(110.0)
        await heater.heater_off()
        wire.silent = True
        reading = asyncio.ensure_future(heater.read())
        await asyncio.sleep(8.0)
        await panel.connect()
        await panel.set_temperature(90.0)
        wire.silent = False
        await reading
        assert not plant.automatic

    run_virtual(main())


def two_at_one(make: Make, plant: LaggingHeater) -> tuple[RecoveringHeater, HeaterDriver, SilentSide]:
    """A heater on its ladder, somebody else at the same controller, and what keeps the first from hearing it."""
    shared = Shared(make.port(plant))
    wire = SilentSide(shared)
    heater = RecoveringHeater(make.in_memory(plant, lambda _: wire), RecoveryRules(bound_s=60.0))
    return heater, make.in_memory(plant, lambda _: SilentSide(shared)), wire


class Shared:
    """One twin and several hosts: what it says is for the one that spoke last."""

    def __init__(self, twin: StreamTwin) -> None:
        self._twin = twin
        self._attached = False
        self._emit: Emit = _unheard

    def attach(self, loop: Loop) -> None:
        if not self._attached:
            self._attached = True
            self._twin.attach(loop, self._emitted)

    def receive(self, data: bytes, emit: Emit) -> None:
        self._emit = emit
        self._twin.receive(data)

    def _emitted(self, data: bytes) -> None:
        self._emit(data)


class SilentSide:
    """One host's end of a shared twin; while it is silent nothing passes, either way."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._emit: Emit = _unheard
        self.silent = False

    def attach(self, loop: Loop, emit: Emit) -> None:
        self._emit = emit
        self._shared.attach(loop)

    def receive(self, data: bytes) -> None:
        if not self.silent:
            self._shared.receive(data, self._emit)


def _unheard(data: bytes) -> None:
    """Nobody listens."""


@every_make
def test_a_broken_sensor_reads_nan_with_its_flag(make: Make) -> None:
    async def main() -> None:
        plant = LaggingHeater()
        heater = make.in_memory(plant)
        await heater.connect()
        await heater.set_temperature(100.0)
        plant.broken = True
        reading = await heater.read()
        assert math.isnan(reading.temperature_c)
        assert reading.sensor_break

    run_virtual(main())


@every_make
def test_a_lost_or_damaged_answer_now_and_then_does_no_harm(make: Make) -> None:
    """Every ninth answer is lost, every thirteenth loses its last byte; none of them may leave a wrong set-point."""
    count = 0

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        nonlocal count
        count += 1
        if count % 9 == 0:
            return []
        return [(0.0, data[:-1] if count % 13 == 0 else data)]

    async def main() -> None:
        plant = LaggingHeater()
        heater = make.in_memory(plant, lambda twin: FaultyWire(twin, bend), attempts=3)
        await heater.connect()
        for wanted_c in (60.0, 80.5, 71.0):
            assert await heater.set_temperature(wanted_c) == pytest.approx(wanted_c, abs=0.051)
            assert plant.target_c == pytest.approx(wanted_c, abs=1e-3)
            assert math.isfinite((await heater.read()).temperature_c)
        await heater.heater_off()
        assert not plant.automatic

    run_virtual(main())


@every_make
def test_a_refresh_from_another_task_never_undoes_a_set_point_being_set(make: Make) -> None:
    async def main() -> None:
        plant = LaggingHeater()
        heater = make.in_memory(plant)
        await heater.connect()
        await heater.set_temperature(60.0)

        async def keep_refreshing() -> None:
            while True:
                await heater.refresh()

        refreshing = asyncio.ensure_future(keep_refreshing())
        for wanted_c in (80.0, 70.5):
            await asyncio.sleep(0.013)
            assert await heater.set_temperature(wanted_c) == pytest.approx(wanted_c, abs=0.051)
        refreshing.cancel()
        await asyncio.gather(refreshing, return_exceptions=True)

    run_virtual(main())


@pytest.mark.parametrize("make", EVERY, ids=lambda make: make.name)
@settings(max_examples=15, deadline=None)
@given(answers=st.lists(st.binary(max_size=30), max_size=4), seed=st.integers(0, 2**32))
def test_garbled_answers_raise_only_our_own_errors(make: Make, answers: list[bytes], seed: int) -> None:
    draw = random.Random(seed)
    left = list(answers)

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        return [(0.0, left.pop(0) if left and draw.random() < 0.5 else data)]

    async def main() -> None:
        plant = LaggingHeater()
        heater = make.in_memory(plant, lambda twin: FaultyWire(twin, bend))
        for wanted_c in (50.0, 60.0, 70.0, 80.0, 90.0):
            try:
                await heater.connect()
                assert await heater.set_temperature(wanted_c) == pytest.approx(wanted_c, abs=0.051)
            except DriverError as error:
                assert str(error)
        while left:
            left.pop()
        await heater.connect()
        await heater.set_temperature(55.0)
        assert plant.target_c == pytest.approx(55.0, abs=1e-3)

    run_virtual(main())
