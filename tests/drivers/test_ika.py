"""What is an IKA plate's own: a watchdog that is armed before it heats, and a state that not all of them tell."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable

import pytest

from drivers import (
    IkaHotplate,
    Line,
    OutOfRangeError,
    ReadBackError,
)
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import MemoryTransport
from simulators.wire_thermostats import IkaTwin
from tests.contract.heaters import Tap
from tests.contract.plants import FaultyWire, LaggingHeater

Plate = Callable[[IkaHotplate, LaggingHeater, IkaTwin, Tap], Awaitable[None]]


def with_a_plate(
    scenario: Plate, *, mode: int = 1, watchdog_s: int = 30, reports_state: bool = True, forgets: bool = False
) -> None:
    async def main() -> None:
        plant = LaggingHeater()
        twin = IkaTwin(plant, forgets_set_point=forgets)
        tap = Tap(twin)
        heater = IkaHotplate(
            Line(MemoryTransport(tap, baud_rate=9600)),
            watchdog_s=watchdog_s,
            watchdog_mode=2 if mode == 2 else 1,
            reports_state=reports_state,
            name="plate",
        )
        assert await heater.connect() == "IKA RCT digital"
        await scenario(heater, plant, twin, tap)

    run_virtual(main())


def test_the_watchdog_is_armed_before_the_plate_heats() -> None:
    async def scenario(plate: IkaHotplate, plant: LaggingHeater, twin: IkaTwin, tap: Tap) -> None:
        assert not any(said.startswith(b"OUT_WD") for said in tap.said)
        await plate.set_temperature(100.0)
        assert b"OUT_SP_1 100.0 \r\n" in tap.said
        assert tap.said.index(b"OUT_WD1@30 \r\n") < tap.said.index(b"START_1 \r\n")

    with_a_plate(scenario)


def test_a_host_that_refreshes_keeps_the_plate_heating_and_a_silent_one_does_not() -> None:
    async def scenario(plate: IkaHotplate, plant: LaggingHeater, twin: IkaTwin, tap: Tap) -> None:
        await plate.set_temperature(100.0)
        for _ in range(30):
            await asyncio.sleep(10.0)
            await plate.refresh()
            await plate.read()
        assert plant.automatic
        for _ in range(3):
            await asyncio.sleep(10.0)
            # Other exchanges do not feed it.
            await plate.read()
        await asyncio.sleep(1.0)
        assert not plant.automatic
        assert twin.watchdog_tripped
        reading = await plate.read()
        assert reading.heater_fail
        assert reading.alarm
        await plate.refresh()
        assert not plant.automatic
        with pytest.raises(ReadBackError, match="asked heating"):
            await plate.set_temperature(100.0)
        twin.power_cycle()
        await plate.set_temperature(100.0)
        assert plant.automatic

    with_a_plate(scenario)


def test_a_plate_that_is_off_stays_out_of_the_watchdogs_error_while_refreshed() -> None:
    async def scenario(plate: IkaHotplate, plant: LaggingHeater, twin: IkaTwin, tap: Tap) -> None:
        await plate.set_temperature(100.0)
        await plate.heater_off()
        for _ in range(10):
            await asyncio.sleep(10.0)
            await plate.refresh()
        assert not twin.watchdog_tripped
        await plate.close()
        await asyncio.sleep(31.0)
        assert twin.watchdog_tripped

    with_a_plate(scenario)


def test_in_mode_2_a_silent_host_leaves_the_safe_set_point_behind() -> None:
    async def scenario(plate: IkaHotplate, plant: LaggingHeater, twin: IkaTwin, tap: Tap) -> None:
        await plate.set_temperature(100.0)
        assert tap.said.index(b"OUT_SP_12@20 \r\n") < tap.said.index(b"OUT_WD2@40 \r\n")
        await asyncio.sleep(39.0)
        assert plant.target_c == 100.0
        await asyncio.sleep(2.0)
        assert plant.target_c == 20.0
        assert not twin.watchdog_tripped

    with_a_plate(scenario, mode=2, watchdog_s=40)


def test_in_mode_2_close_disarms_a_plate_that_is_off_and_only_that() -> None:
    async def scenario(plate: IkaHotplate, plant: LaggingHeater, twin: IkaTwin, tap: Tap) -> None:
        await plate.set_temperature(100.0)
        await plate.close()
        assert b"OUT_WD2@0 \r\n" not in tap.said
        await plate.connect()
        await plate.heater_off()
        await plate.close()
        assert tap.said[-1] == b"OUT_WD2@0 \r\n"

    with_a_plate(scenario, mode=2)


def test_a_plate_that_forgets_its_set_point_at_start_is_told_again() -> None:
    async def scenario(plate: IkaHotplate, plant: LaggingHeater, twin: IkaTwin, tap: Tap) -> None:
        assert await plate.set_temperature(100.0) == 100.0
        assert (plant.automatic, plant.target_c) == (True, 100.0)

    with_a_plate(scenario, forgets=True)


def test_a_set_point_altered_on_its_way_is_corrected() -> None:
    """The plate takes any sound number: without a checksum only the read-back shows it."""

    async def main() -> None:
        plant = LaggingHeater()

        class Altering(Tap):
            altered = False

            def receive(self, data: bytes) -> None:
                if data.startswith(b"OUT_SP_1") and not self.altered:
                    self.altered = True
                    data = data.replace(b"100.0", b"180.0")
                super().receive(data)

        plate = IkaHotplate(Line(MemoryTransport(Altering(IkaTwin(plant)), baud_rate=9600)))
        await plate.connect()
        assert await plate.set_temperature(100.0) == 100.0
        assert plant.target_c == 100.0

    run_virtual(main())


def test_stop_goes_out_whatever_the_plate_says_of_itself() -> None:
    async def scenario(plate: IkaHotplate, plant: LaggingHeater, twin: IkaTwin, tap: Tap) -> None:
        await plate.heater_off()
        assert b"STOP_1 \r\n" in tap.said

    with_a_plate(scenario)


def test_a_plate_that_does_not_report_its_state_is_driven_without() -> None:
    async def scenario(plate: IkaHotplate, plant: LaggingHeater, twin: IkaTwin, tap: Tap) -> None:
        await plate.set_temperature(100.0)
        assert math.isnan((await plate.read()).output_fraction)
        assert plant.automatic
        await plate.heater_off()
        assert (await plate.read()).output_fraction == 0.0
        assert not any(said.startswith(b"STATUS") for said in tap.said)

    with_a_plate(scenario, reports_state=False)


def test_a_watchdog_whose_echo_is_another_time_is_an_error_before_heat() -> None:
    async def main() -> None:
        tap = Tap(IkaTwin(LaggingHeater()))
        wire = FaultyWire(tap, lambda data: [(0.0, b"300 \r\n" if data == b"30 \r\n" else data)])
        plate = IkaHotplate(Line(MemoryTransport(wire, baud_rate=9600)))
        await plate.connect()
        with pytest.raises(ReadBackError, match="asked OUT_WD1@30; answered 300"):
            await plate.set_temperature(100.0)
        assert not any(said.startswith(b"START") for said in tap.said)

    run_virtual(main())


@pytest.mark.parametrize("watchdog_s", [19, 1501])
def test_a_watchdog_time_that_the_plate_cannot_keep_is_refused(watchdog_s: int) -> None:
    with pytest.raises(OutOfRangeError, match="watchdog time") as caught:
        IkaHotplate(Line(MemoryTransport(IkaTwin(LaggingHeater()))), watchdog_s=watchdog_s)
    assert (caught.value.low, caught.value.high) == (20, 1500)
