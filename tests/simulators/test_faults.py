"""Faults of a simulated rig act in the world and leave everything else as it was."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import numpy as np
import pytest

from orchestrator.clock.virtual_time import run_virtual
from simulators import SpecError, UnknownNameError, World, WorldSpec
from simulators.faults import NATURE, STALL_KPA, Fault, FaultKind, Faults, Points
from simulators.wire_faults import WireFaults

K = FaultKind


@pytest.fixture(name="rig")
def quiet_rig(silent_spec: Callable[[], WorldSpec]) -> WorldSpec:
    return silent_spec()


def in_time(scenario: Callable[[World, Faults, Points], None], spec: WorldSpec, until_s: float = 0.0) -> None:
    """Run a scenario, then let virtual time pass."""

    async def main() -> None:
        world = World(spec, 1)
        points = Points(wires={"pumps": WireFaults(1, "pumps")})
        faults = Faults(world, points, 1)
        scenario(world, faults, points)
        await asyncio.sleep(until_s)
        faults.stop()

    run_virtual(main())


def test_a_jammed_plunger_stops_counting_and_stalls_until_it_is_freed(rig: WorldSpec) -> None:
    world = World(rig, 1)
    name = rig.pumps[0].name
    pump = world.syringe(name)
    pump.drive(0.0, 60.0)
    pump.jam(10.0)
    assert pump.displaced_ul(100.0) == pytest.approx(10.0)
    assert not pump.stalled(10.0 + rig.pumps[0].stall_delay_s - 0.1)
    assert pump.stalled(10.0 + rig.pumps[0].stall_delay_s)
    pump.drive(100.0, 0.0)
    pump.drive(101.0, 60.0)
    assert pump.stalled(110.0)
    pump.jam(120.0, False)
    assert pump.displaced_ul(130.0) == pytest.approx(20.0)


def test_an_empty_syringe_delivers_nothing_more(rig: WorldSpec) -> None:
    world = World(rig, 1)
    pump = world.syringe(rig.pumps[0].name)
    pump.drive(0.0, 60.0)
    pump.set_content(10.0, 5.0)
    assert pump.displaced_ul(60.0) == pytest.approx(15.0)
    assert pump.content_ul(60.0) == pytest.approx(0.0)
    with pytest.raises(SpecError):
        pump.set_content(70.0, 1e9)


def test_a_leak_takes_its_share_of_flow_and_pressure(rig: WorldSpec) -> None:
    def after(leaks: bool) -> tuple[float, float]:
        world = World(rig, 1)
        world.syringe(rig.pumps[0].name).drive(0.0, 600.0)
        if leaks:
            world.network.leak(30.0, 0.5)
        return world.network.flow_ul_min(60.0), world.tap.pressure_kpa(60.0)

    sound, leaking = after(False), after(True)
    assert leaking[0] == pytest.approx(0.5 * sound[0])
    assert leaking[1] == pytest.approx(0.5 * sound[1], abs=0.3)


def test_a_leak_of_one_pump_leaves_the_others_alone(rig: WorldSpec) -> None:
    world = World(rig, 1)
    first, second = rig.pumps[0].name, rig.pumps[1].name
    for name in (first, second):
        world.syringe(name).drive(0.0, 60.0)
    world.network.leak(0.0, 1.0, first)
    delivered = world.network.delivered_ul(60.0)
    assert delivered[first] == 0.0
    assert delivered[second] == pytest.approx(60.0, rel=0.1)


def test_a_clog_raises_the_pressure_until_the_pumps_stall(rig: WorldSpec) -> None:
    seen: list[float] = []

    def scenario(world: World, faults: Faults, points: Points) -> None:
        loop = asyncio.get_running_loop()
        world.syringe(rig.pumps[0].name).drive(0.0, 600.0)

        def clog() -> None:
            faults.inject(loop, K.CLOG, "reactor", size=10.0)

        def look() -> None:
            seen.append(world.tap.pressure_kpa(loop.time()))

        loop.call_at(30.0, clog)
        for t_s in (29.0, 40.0, 60.0, 200.0):
            loop.call_at(t_s, look)
        loop.call_at(200.5, lambda: seen.append(float(world.syringe(rig.pumps[0].name).stalled(200.5))))

    in_time(scenario, rig, 201.0)
    assert 1.5 < seen[1] / seen[0] < 2.6
    assert seen[2] > 3.0 * seen[1]
    assert seen[4] == 1.0
    assert max(seen) < STALL_KPA


def test_a_broken_sensor_reads_nothing_and_the_heater_cools(rig: WorldSpec) -> None:
    world = World(rig, 1)
    block = world.block
    block.command(0.0, 100.0, True)
    block.sensor(300.0, "broken")
    assert not math.isnan(block.process_value_c(299.0))
    assert math.isnan(block.process_value_c(301.0))
    assert block.output_fraction(310.0) == 0.0
    assert block.block_c(600.0) < 60.0
    block.sensor(700.0, "sound")
    assert not math.isnan(block.process_value_c(701.0))


def test_a_detached_sensor_cools_while_the_block_overheats_at_full_output(rig: WorldSpec) -> None:
    world = World(rig, 1)
    block = world.block
    block.command(0.0, 100.0, True)
    block.sensor(300.0, "detached")
    assert block.process_value_c(420.0) < 30.0
    assert block.output_fraction(420.0) == 1.0
    assert block.block_c(420.0) > 160.0


def test_a_welded_relay_heats_without_output(rig: WorldSpec) -> None:
    world = World(rig, 1)
    block = world.block
    block.command(0.0, 60.0, True)
    block.weld_relay(300.0)
    assert block.output_fraction(360.0) == 0.0
    assert block.process_value_c(360.0) > 80.0


def test_optical_faults_change_the_light_and_nothing_else(rig: WorldSpec) -> None:
    def line(fault: Callable[[World], None] | None) -> float:
        world = World(rig, 1)
        world.cell.lamp(0.0, True)
        if fault is not None:
            fault(world)
        counts = world.cell.expose(3600.0, 0.05)
        nm = np.array(rig.spectrometer.wavelengths_list_nm())
        return float(
            counts[(nm > 395.0) & (nm < 415.0)].sum() - counts[nm > 800.0].mean() * ((nm > 395) & (nm < 415)).sum()
        )

    sound = line(None)
    assert line(lambda world: world.cell.foul(0.0, 0.3)) == pytest.approx(sound * 10.0**-0.3, rel=0.1)
    assert line(lambda world: world.cell.drift(0.0, -0.3)) == pytest.approx(0.7 * sound, rel=0.1)
    assert line(lambda world: world.cell.brighten(0.0, 3.0)) == pytest.approx(3.0 * sound, rel=0.1)
    assert line(lambda world: world.cell.bubble(0.0, 1.0)) < 0.05 * sound
    assert line(lambda world: world.cell.bubble(0.0, 0.3)) == pytest.approx(0.7 * sound, rel=0.1)


def test_a_fault_ends_after_its_duration(rig: WorldSpec) -> None:
    states: list[bool] = []

    def scenario(world: World, faults: Faults, points: Points) -> None:
        loop = asyncio.get_running_loop()
        faults.schedule(loop, [Fault(K.SILENCE, "pumps", at_s=10.0, duration_s=5.0)])
        for t_s in (9.0, 11.0, 14.0, 16.0):
            loop.call_at(t_s, lambda: states.append(points.wires["pumps"].silent))

    in_time(scenario, rig, 20.0)
    assert states == [False, True, True, False]


def test_random_faults_belong_to_their_seed_and_come_at_their_mean_interval(rig: WorldSpec) -> None:
    def moments(seed: int) -> list[float]:
        async def main() -> list[float]:
            world = World(rig, 1)
            faults = Faults(world, Points(wires={"pumps": WireFaults(1)}), seed)
            faults.schedule(asyncio.get_running_loop(), [Fault(K.SILENCE, "pumps", 0.0, 1.0, every_s=60.0)])
            await asyncio.sleep(36_000.0)
            faults.stop()
            return [fault.at_s for fault in faults.injected]

        return run_virtual(main())

    assert moments(1) == moments(1)
    assert moments(1) != moments(2)
    assert 500 < len(moments(1)) < 700


def test_stopped_faults_do_not_happen(rig: WorldSpec) -> None:
    def scenario(world: World, faults: Faults, points: Points) -> None:
        faults.schedule(asyncio.get_running_loop(), [Fault(K.PUMP_STALL, rig.pumps[0].name, at_s=5.0)])
        faults.stop()
        assert faults.injected == []

    in_time(scenario, rig, 10.0)


@pytest.mark.parametrize(
    "wrong",
    [{"at_s": -1.0}, {"duration_s": 0.0}, {"every_s": math.nan}, {"size": 1.5}],
)
def test_a_fault_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SpecError):
        Fault(K.LEAK, "reactor", **wrong)


def test_a_fault_of_something_that_is_not_there_is_refused(rig: WorldSpec) -> None:
    def scenario(world: World, faults: Faults, points: Points) -> None:
        loop = asyncio.get_running_loop()
        for kind in FaultKind:
            if kind is not K.CLOG:
                with pytest.raises(UnknownNameError):
                    faults.inject(loop, kind, "nothing of this name")

    in_time(scenario, rig)
    assert set(NATURE) == set(FaultKind)


def test_corrupted_bytes_and_dropped_replies_come_at_their_share_and_by_their_seed() -> None:
    def passed(seed: int) -> tuple[int, int, bytes]:
        wire = WireFaults(seed)
        wire.corrupted, wire.dropped = 0.01, 0.05
        data = wire.passed(bytes(20_000))
        return wire.corrupted_bytes, sum(not wire.keeps() for _ in range(2000)), data

    corrupted, dropped, data = passed(1)
    assert 150 < corrupted < 250
    assert 70 < dropped < 130
    assert sum(byte != 0 for byte in data) == corrupted
    assert passed(1) == passed(1)
    assert passed(1) != passed(2)
    with pytest.raises(SpecError):
        WireFaults(1).corrupted = 1.5
    with pytest.raises(SpecError):
        WireFaults(1).late_s = -1.0
