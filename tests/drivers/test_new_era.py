"""The pump driver against its twin, in memory and in virtual time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers import (
    DeviceAlarmError,
    DriverError,
    Line,
    NewEraPump,
    OutOfRangeError,
    PortError,
    ProtocolError,
    PumpState,
    ReadBackError,
    WireTimeoutError,
)
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import MemoryTransport
from simulators.wire_new_era import NewEraTwin, PumpMemory
from tests.contract.plants import FaultyWire, SteppingPump

Scenario = Callable[[NewEraPump, SteppingPump, NewEraTwin], Awaitable[None]]


def play(
    scenario: Scenario,
    *,
    safe_mode_timeout_s: int | None = None,
    diameter_mm: float = 4.61,
    memory: PumpMemory | None = None,
    plant: SteppingPump | None = None,
) -> None:
    """Run a scenario with one connected pump, whose syringe is counted in µL unless said otherwise."""

    async def main() -> None:
        mechanics = plant or SteppingPump()
        twin = NewEraTwin({3: mechanics}, memories={3: memory} if memory else None)
        pump = NewEraPump(
            Line(MemoryTransport(twin)), 3, diameter_mm, 5000.0, safe_mode_timeout_s=safe_mode_timeout_s, name="lead"
        )
        assert await pump.connect() == "NE1000V3.928"
        await scenario(pump, mechanics, twin)
        await pump.close()

    run_virtual(main())


def test_an_infusion_ends_at_its_volume_at_the_right_moment() -> None:
    async def scenario(pump: NewEraPump, plant: SteppingPump, twin: NewEraTwin) -> None:
        assert await pump.infuse(60.0, 120.0) == 60.0
        began_s = plant.commands[-1][0]
        await asyncio.sleep(119.0)
        assert (await pump.status()).state is PumpState.INFUSING
        await asyncio.sleep(10.0)
        status = await pump.status()
        assert status.state is PumpState.STOPPED
        assert status.infused_ul == pytest.approx(120.0, abs=0.01)
        stopped_s, flow = plant.commands[-1]
        assert flow == 0.0
        assert stopped_s - began_s == pytest.approx(120.0, abs=1e-3)

    play(scenario)


def test_the_flow_read_back_is_returned() -> None:
    async def scenario(pump: NewEraPump, plant: SteppingPump, twin: NewEraTwin) -> None:
        assert await pump.infuse(80.2468, 100.0) == 80.25
        assert plant.flow_ul_min == 80.25
        # Below 1 µL/min four digits of µL/h are closer than three decimals of µL/min.
        assert await pump.infuse(0.1666, 100.0) == pytest.approx(9.996 / 60.0)

    play(scenario)


def test_a_change_of_flow_never_stops_a_running_pump() -> None:
    async def scenario(pump: NewEraPump, plant: SteppingPump, twin: NewEraTwin) -> None:
        await pump.infuse(60.0, 500.0)
        await asyncio.sleep(60.0)
        before = len(plant.commands)
        assert await pump.change_flow(90.0) == 90.0
        assert await pump.infuse(30.0, 438.0) == 30.0  # what is left of the bound, so the motor goes on
        assert [flow for _, flow in plant.commands[before:]] == [90.0, 30.0]

    play(scenario)


def test_a_change_of_unit_pauses_and_keeps_the_bound() -> None:
    async def scenario(pump: NewEraPump, plant: SteppingPump, twin: NewEraTwin) -> None:
        await pump.infuse(60.0, 100.0)
        await asyncio.sleep(30.0)
        assert await pump.change_flow(0.1666) == pytest.approx(9.996 / 60.0)
        await pump.change_flow(60.0)
        await asyncio.sleep(200.0)
        status = await pump.status()
        assert status.state is PumpState.STOPPED
        assert status.infused_ul == pytest.approx(100.0, abs=0.05)

    play(scenario)


def test_a_new_bound_counts_from_now_and_the_sum_is_kept() -> None:
    async def scenario(pump: NewEraPump, plant: SteppingPump, twin: NewEraTwin) -> None:
        await pump.infuse(60.0, 300.0)
        await asyncio.sleep(60.0)
        await pump.infuse(60.0, 300.0)
        await asyncio.sleep(400.0)
        status = await pump.status()
        assert status.state is PumpState.STOPPED
        assert status.infused_ul == pytest.approx(360.2, abs=0.3)
        assert status.infused_ul == pytest.approx(plant.base_ul, abs=0.1)

    play(scenario)


def test_the_same_command_again_changes_nothing() -> None:
    async def scenario(pump: NewEraPump, plant: SteppingPump, twin: NewEraTwin) -> None:
        await pump.infuse(60.0, 300.0)
        before = list(plant.commands)
        assert await pump.infuse(60.0, 300.0) == 60.0
        assert plant.commands == before

    play(scenario)


def test_stop_really_stops_and_may_be_said_twice() -> None:
    async def scenario(pump: NewEraPump, plant: SteppingPump, twin: NewEraTwin) -> None:
        await pump.infuse(60.0, 300.0)
        await pump.stop()
        assert (await pump.status()).state is PumpState.STOPPED
        assert plant.flow_ul_min == 0.0
        await pump.stop()
        assert (await pump.status()).state is PumpState.STOPPED

    play(scenario)


def test_a_stalled_pump_reports_its_stall() -> None:
    async def scenario(pump: NewEraPump, plant: SteppingPump, twin: NewEraTwin) -> None:
        await pump.infuse(60.0, 300.0)
        await asyncio.sleep(90.0)
        status = await pump.status()
        assert (status.state, status.alarm) == (PumpState.STOPPED, "stalled")
        assert status.infused_ul == pytest.approx(50.0)
        with pytest.raises(DeviceAlarmError, match="stalled") as caught:
            await pump.infuse(60.0, 100.0)
        assert (caught.value.device, caught.value.alarm) == ("lead", "stalled")
        await pump.stop()
        pump.clear_alarm()
        plant.stall_at_ul = 1e9
        assert await pump.infuse(60.0, 100.0) == 60.0

    play(scenario, plant=SteppingPump(stall_at_ul=50.0))


def test_a_power_blip_shows_as_an_alarm_and_a_stopped_motor() -> None:
    async def scenario(pump: NewEraPump, plant: SteppingPump, twin: NewEraTwin) -> None:
        await pump.infuse(60.0, 300.0)
        twin.power_cycle(3)
        status = await pump.status()
        assert (status.state, status.alarm) == (PumpState.STOPPED, "power was reset")
        with pytest.raises(DeviceAlarmError):
            await pump.change_flow(50.0)

    play(scenario)


def test_the_watchdog_stops_a_pump_whose_host_fell_silent() -> None:
    async def scenario(pump: NewEraPump, plant: SteppingPump, twin: NewEraTwin) -> None:
        await pump.infuse(60.0, 300.0)
        for _ in range(5):
            await asyncio.sleep(4.0)
            assert (await pump.status()).alarm is None
        heard_s = asyncio.get_running_loop().time()
        await asyncio.sleep(60.0)
        assert plant.flow_ul_min == 0.0
        assert plant.commands[-1][0] == pytest.approx(heard_s + 5.0, abs=0.1)
        assert (await pump.status()).alarm == "communication time-out"

    play(scenario, safe_mode_timeout_s=5)


def test_a_clean_close_disarms_the_watchdog() -> None:
    memory = PumpMemory()

    async def scenario(pump: NewEraPump, plant: SteppingPump, twin: NewEraTwin) -> None:
        assert memory.safe_s == 5

    play(scenario, safe_mode_timeout_s=5, memory=memory)
    assert memory.safe_s == 0


@pytest.mark.parametrize("left_in_s", [0, 9])
@pytest.mark.parametrize("wanted_s", [None, 5])
def test_a_pump_is_reached_whichever_mode_it_was_left_in(left_in_s: int, wanted_s: int | None) -> None:
    async def scenario(pump: NewEraPump, plant: SteppingPump, twin: NewEraTwin) -> None:
        assert await pump.infuse(60.0, 300.0) == 60.0

    play(scenario, safe_mode_timeout_s=wanted_s, memory=PumpMemory(safe_s=left_in_s))


def test_a_big_syringe_is_counted_in_millilitres() -> None:
    async def scenario(pump: NewEraPump, plant: SteppingPump, twin: NewEraTwin) -> None:
        await pump.infuse(600.0, 1234.9)
        await asyncio.sleep(200.0)
        assert (await pump.status()).infused_ul == 1234.0

    play(scenario, diameter_mm=14.43)


@pytest.mark.parametrize(("flow", "volume"), [(0.001, 10.0), (1e5, 10.0), (60.0, 0.0), (60.0, 5001.0)])
def test_out_of_range_is_refused_with_the_range_and_nothing_is_sent(flow: float, volume: float) -> None:
    async def scenario(pump: NewEraPump, plant: SteppingPump, twin: NewEraTwin) -> None:
        before = list(plant.commands)
        with pytest.raises(OutOfRangeError) as caught:
            await pump.infuse(flow, volume)
        assert caught.value.low < caught.value.high
        assert plant.commands == before

    play(scenario)


def test_the_flow_range_is_the_manuals() -> None:
    """A 14.43 mm syringe spans 6.88 µL/h to 8.34 mL/min."""
    pump = NewEraPump(Line(MemoryTransport(NewEraTwin({0: SteppingPump()}))), 0, 14.43)
    low, high = pump.flow_range_ul_min
    assert low * 60.0 == pytest.approx(6.88, abs=0.005)
    assert high / 1000.0 == pytest.approx(8.34, abs=0.005)


def test_a_pump_found_running_is_stopped_by_connect() -> None:
    async def main() -> None:
        plant = SteppingPump()
        twin = NewEraTwin({0: plant})
        first = NewEraPump(Line(MemoryTransport(twin)), 0, 4.61)
        await first.connect()
        await first.infuse(60.0, 300.0)
        second = NewEraPump(Line(MemoryTransport(twin)), 0, 4.61)
        await second.connect()
        assert plant.flow_ul_min == 0.0
        assert (await second.status()).infused_ul == 0.0

    run_virtual(main())


def test_chained_pumps_share_a_line_and_do_not_mix() -> None:
    async def main() -> None:
        plants = {address: SteppingPump() for address in (0, 1, 12)}
        line = Line(MemoryTransport(NewEraTwin(plants)))
        pumps = {address: NewEraPump(line, address, 4.61, name=f"p{address}") for address in plants}
        await asyncio.gather(*(pump.connect() for pump in pumps.values()))
        await asyncio.gather(*(pump.infuse(10.0 + address, 500.0) for address, pump in pumps.items()))
        assert [plants[address].flow_ul_min for address in plants] == [10.0, 11.0, 22.0]
        await pumps[1].stop()
        assert [plants[address].flow_ul_min for address in plants] == [10.0, 0.0, 22.0]
        for pump in pumps.values():
            await pump.close()

    run_virtual(main())


def test_an_absent_pump_is_a_timeout_that_says_what_was_asked() -> None:
    async def main() -> None:
        pump = NewEraPump(Line(MemoryTransport(NewEraTwin({0: SteppingPump()}), name="COM3")), 5, 4.61, name="ghost")
        with pytest.raises(WireTimeoutError, match=r"ghost on COM3: .*asked SAF0"):
            await pump.connect()

    run_virtual(main())


def test_a_late_answer_is_not_taken_for_the_next_one() -> None:
    late: list[int] = []

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        late.append(len(late))
        return [(0.8 if len(late) == 20 else 0.0, data)]

    async def main() -> None:
        plant = SteppingPump()
        pump = NewEraPump(Line(MemoryTransport(FaultyWire(NewEraTwin({0: plant}), bend))), 0, 4.61)
        await pump.connect()
        for flow in (10.0, 20.0, 30.0, 40.0):
            assert await pump.infuse(flow, 100.0) == flow
            assert plant.flow_ul_min == flow
        assert len(late) > 20

    run_virtual(main())


def test_a_garbled_answer_is_asked_for_again() -> None:
    count = 0

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        nonlocal count
        count += 1
        return [(0.0, data[:1] + b"\xff" + data[2:] if count % 5 == 0 else data)]

    async def main() -> None:
        pump = NewEraPump(Line(MemoryTransport(FaultyWire(NewEraTwin({0: SteppingPump()}), bend))), 0, 4.61)
        await pump.connect()
        for _ in range(8):
            assert (await pump.status()).state is PumpState.STOPPED

    run_virtual(main())


def test_pumps_that_share_a_bad_line_find_that_out_together_and_are_stopped_with_patience_all_the_same() -> None:
    answers: list[bytes] = []
    bad = 0

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        answers.append(data)
        return [(0.0, data[:-2] + bytes([data[-2] ^ 1]) + data[-1:] if len(answers) <= bad else data)]

    async def main() -> None:
        nonlocal bad
        twin = NewEraTwin({address: SteppingPump() for address in range(4)})
        line = Line(MemoryTransport(FaultyWire(twin, bend)))
        pumps = [NewEraPump(line, address, 4.61, safe_mode_timeout_s=200, name=f"p{address}") for address in range(4)]
        for pump in pumps:
            await pump.connect()
        answers.clear()
        bad = 1000
        looks = await asyncio.gather(*(pump.status() for pump in pumps), return_exceptions=True)
        assert all(isinstance(look, ProtocolError) for look in looks)
        assert len(answers) <= 6 + len(pumps), "each would have asked six times by itself"
        answers.clear()
        bad = 5
        await pumps[0].stop()
        assert len(answers) > bad
        assert (await pumps[1].status()).state is PumpState.STOPPED

    run_virtual(main())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=20), max_size=5), st.sampled_from([None, 30]))
def test_garbled_answers_raise_only_our_own_errors(answers: list[bytes], safe_mode_timeout_s: int | None) -> None:
    left: list[bytes] = []

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        return [(0.0, left.pop(0) if left else data)]

    async def main() -> None:
        pump = NewEraPump(
            Line(MemoryTransport(FaultyWire(NewEraTwin({0: SteppingPump()}), bend))),
            0,
            4.61,
            safe_mode_timeout_s=safe_mode_timeout_s,
        )
        await pump.connect()
        left.extend(answers)
        for _ in range(4):
            try:
                await pump.infuse(10.0, 100.0)
                await pump.stop()
            except DriverError as error:
                assert str(error)
        left.clear()
        await pump.stop()
        assert (await pump.status()).state is PumpState.STOPPED

    run_virtual(main())


def test_a_cancelled_caller_leaves_the_line_usable() -> None:
    async def main() -> None:
        pump = NewEraPump(Line(MemoryTransport(NewEraTwin({0: SteppingPump()}))), 0, 4.61)
        await pump.connect()
        for wait_s in (0.001, 0.004, 0.008, 0.012):
            task = asyncio.ensure_future(pump.status())
            await asyncio.sleep(wait_s)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await pump.infuse(10.0, 100.0) == 10.0
            await pump.stop()

    run_virtual(main())


def test_a_setting_that_does_not_take_is_noticed() -> None:
    def bend(data: bytes) -> list[tuple[float, bytes]]:
        return [(0.0, data.replace(b"60.00UM", b"59.00UM"))]

    async def main() -> None:
        plant = SteppingPump()
        pump = NewEraPump(Line(MemoryTransport(FaultyWire(NewEraTwin({0: plant}), bend))), 0, 4.61)
        await pump.connect()
        with pytest.raises(ReadBackError, match=r"0\.5 %"):
            await pump.infuse(60.0, 100.0)
        assert plant.flow_ul_min == 0.0

    run_virtual(main())


def test_a_verb_before_connect_is_a_port_error() -> None:
    async def main() -> None:
        pump = NewEraPump(Line(MemoryTransport(NewEraTwin({0: SteppingPump()}))), 0, 4.61)
        with pytest.raises(PortError):
            await pump.status()

    run_virtual(main())


def test_the_drivers_import_quickly_and_lightly() -> None:
    import subprocess
    import sys

    heavy = "{'numpy', 'torch', 'scipy', 'serial', 'pymodbus', 'seabreeze', 'usb'}"
    code = f"import sys, drivers; print(sorted(m for m in sys.modules if m.split('.')[0] in {heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("heard", range(12))
def test_answers_lost_at_any_moment_of_a_new_order_lose_no_volume(heard: int) -> None:
    left = 1_000_000

    def bend(data: bytes) -> list[tuple[float, bytes]]:
        nonlocal left
        left -= 1
        return [(0.0, data)] if left >= 0 else []

    async def main() -> None:
        nonlocal left
        plant = SteppingPump()
        pump = NewEraPump(Line(MemoryTransport(FaultyWire(NewEraTwin({0: plant}), bend))), 0, 4.61)
        await pump.connect()
        await pump.infuse(60.0, 200.0)
        await asyncio.sleep(60.0)
        left = heard
        with contextlib.suppress(DriverError):
            await pump.infuse(30.0, 100.0)
        left = 1_000_000
        await pump.stop()
        moved_ul = plant.displaced_ul(asyncio.get_running_loop().time())
        assert (await pump.status()).infused_ul == pytest.approx(moved_ul, abs=0.1)
        await pump.infuse(30.0, 100.0)
        assert (await pump.status()).infused_ul == pytest.approx(moved_ul, abs=0.1)

    run_virtual(main())
