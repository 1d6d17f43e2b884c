"""A heater that is to be off and is not: it trips, loses its power again, and stays off after an outage."""

from __future__ import annotations

import asyncio

import pytest

from drivers import DriverError
from orchestrator.rig.rig import Rig
from orchestrator.safety.interlocks import ACT_WITHIN_S, WATCH_PERIOD_S, Interlocks
from orchestrator.safety.trips import Trip
from simulators.faults import FaultKind
from tests.orchestrator.safety.test_interlocks import inject, played, until_tripped


async def warm_up_and_switch_off(rig: Rig) -> None:
    await rig.heater.set_temperature(120.0)
    await asyncio.sleep(600.0)
    await rig.heater.heater_off()
    await asyncio.sleep(600.0)


def at_the_panel(rig: Rig, set_point_c: float) -> None:
    """Somebody, or the controller's own memory, has it regulate."""
    rig.faults.world.block.command(asyncio.get_running_loop().time(), set_point_c, True)


def test_a_heater_that_somebody_switches_on_at_its_panel_trips_and_loses_its_power_again() -> None:
    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        await warm_up_and_switch_off(rig)
        at_the_panel(rig, 100.0)
        await until_tripped(interlocks, 3.0 * WATCH_PERIOD_S)
        await asyncio.sleep(ACT_WITHIN_S + 3.0 * WATCH_PERIOD_S)
        assert (await rig.heater.read()).output_fraction == 0.0

    _, heard = played(scene)
    assert [(trip.interlock, trip.device, trip.unit) for trip in heard] == [
        ("heat not ordered", "oven", "% of its power")
    ]


def test_a_heater_that_comes_back_from_an_outage_ready_to_heat_is_switched_off_again() -> None:
    """It gives no power yet, for it is warmer than the set-point that it remembers: later it would."""

    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        await rig.heater.set_temperature(120.0)
        await asyncio.sleep(600.0)
        await rig.heater.heater_off()
        inject(rig, FaultKind.PORT_LOSS, "oven", duration_s=8.0)
        await asyncio.sleep(6.0)
        at_the_panel(rig, 90.0)
        await asyncio.sleep(1800.0)
        assert (await rig.heater.read()).temperature_c < 40.0

    assert played(scene)[1] == []


def test_a_set_point_that_comes_while_it_is_switched_off_counts_as_the_newer_order() -> None:
    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        await rig.heater.set_temperature(120.0)
        going_off = asyncio.ensure_future(rig.heater.heater_off())
        await asyncio.sleep(0.0)
        await rig.heater.set_temperature(120.0)
        await going_off
        assert rig.heater.off_since_s is None

    assert played(scene)[1] == []


def test_a_heater_that_could_not_be_switched_off_is_wanted_off_all_the_same() -> None:
    async def scene(rig: Rig, interlocks: Interlocks, heard: list[Trip]) -> None:
        await rig.heater.set_temperature(120.0)
        inject(rig, FaultKind.PORT_LOSS, "oven", duration_s=45.0)
        with pytest.raises(DriverError):
            await rig.heater.heater_off()
        assert rig.heater.off_since_s is not None
        await asyncio.sleep(90.0)
        assert (await rig.heater.read()).output_fraction == 0.0
        interlocks.clear()
        at_the_panel(rig, 100.0)
        await until_tripped(interlocks, 3.0 * WATCH_PERIOD_S)
        assert heard[-1].interlock == "heat not ordered"

    assert played(scene)[1][0].interlock == "lost device"
