"""The recovery ladder around real drivers and their twins, over wires that fail, in virtual time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
import pytest

from drivers import (
    EurothermController,
    Line,
    LostDeviceError,
    ModbusBus,
    NewEraPump,
    OceanSpectrometer,
    ProtocolError,
    PumpState,
    Quality,
    RecoveringHeater,
    RecoveringPump,
    RecoveringSpectrometer,
    RecoveryRules,
    RtuLink,
    Rung,
    SupersededError,
)
from drivers.new_era_frames import encode_safe
from orchestrator.clock.virtual_time import blocking_clock, run_virtual
from simulators.links import MemoryTransport, memory_modbus_connect
from simulators.wire_eurotherm import EurothermTwin
from simulators.wire_faults import WireFaults
from simulators.wire_modbus import ModbusLine, RtuPort
from simulators.wire_new_era import NewEraTwin, PumpMemory
from simulators.wire_ocean import OceanTwin, usb_bus
from tests.contract.plants import LaggingHeater, LampAndPeak, SteppingPump

RULES = RecoveryRules(bound_s=30.0)


async def nothing() -> None:
    return None


def never() -> bool:
    return False


# ---- a pump ---------------------------------------------------------------------------------------------------------

PumpScenario = Callable[[RecoveringPump, SteppingPump, NewEraTwin, WireFaults], Awaitable[None]]
MEMORY = PumpMemory(diameter_mm=26.7)


def with_pump(scenario: PumpScenario, *, safe_mode_timeout_s: int | None = 255, rules: RecoveryRules = RULES) -> None:
    async def main() -> None:
        mechanics = SteppingPump()
        MEMORY.diameter_mm = 26.7
        twin = NewEraTwin({3: mechanics}, memories={3: MEMORY})
        faults = WireFaults(seed=1)
        line = Line(MemoryTransport(faults.around(twin), gate=faults))
        driver = NewEraPump(line, 3, 26.7, 50_000.0, safe_mode_timeout_s=safe_mode_timeout_s, name="lead")
        pump = RecoveringPump(driver, rules)
        await pump.connect()
        await scenario(pump, mechanics, twin, faults)
        await pump.close()

    run_virtual(main())


@pytest.mark.parametrize("kind", ["silence", "port"])
def test_a_pump_runs_on_through_an_outage_of_its_line(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(pump: RecoveringPump, plant: SteppingPump, twin: NewEraTwin, wire: WireFaults) -> None:
        loop = asyncio.get_running_loop()
        await pump.infuse(60.0, 600.0)
        orders = len(plant.commands)
        if kind == "silence":
            wire.silent = True
            loop.call_later(15.0, setattr, wire, "silent", False)
        else:
            wire.lose_port()
            loop.call_later(15.0, wire.restore_port)
        status = await pump.status()
        assert status.state is PumpState.INFUSING
        assert status.infused_ul == pytest.approx(loop.time() - plant.commands[-1][0], abs=2.0)
        # The state was read first and was as wanted, so nothing was sent that moves the motor.
        assert len(plant.commands) == orders
        assert status.lost_ul == 0.0

    with_pump(scenario)
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.WARNING]


def test_a_power_blip_is_acknowledged_verified_and_entered_in_the_ledger(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(pump: RecoveringPump, plant: SteppingPump, twin: NewEraTwin, wire: WireFaults) -> None:
        await pump.infuse(60.0, 600.0)
        await asyncio.sleep(100.0)
        before = await pump.status()
        await asyncio.sleep(7.0)
        moved_ul = plant.displaced_ul(asyncio.get_running_loop().time())
        twin.power_cycle(3)
        MEMORY.diameter_mm = 12.0  # somebody pressed keys while it was off
        await asyncio.sleep(2.0)
        after = await pump.status()
        assert after.alarm is None
        assert after.state is PumpState.INFUSING
        assert MEMORY.diameter_mm == 26.7
        # What really moved before the blip is within what the ledger counts, which errs on the safe side.
        assert moved_ul <= before.infused_ul + after.lost_ul <= moved_ul + 4.0
        assert after.infused_ul >= moved_ul
        # It goes on with what was left of its bound, no more.
        await asyncio.sleep(250.0)
        await pump.status()
        await asyncio.sleep(245.0)
        total_ul = plant.displaced_ul(asyncio.get_running_loop().time())
        assert total_ul <= 600.0
        assert total_ul == pytest.approx(600.0, abs=6.0)
        assert (await pump.status()).infused_ul == pytest.approx(total_ul, abs=6.0)

    with_pump(scenario)
    assert "power was reset" in caplog.records[0].getMessage()
    assert len(caplog.records) == 2


def test_counters_that_an_order_cleared_beside_a_look_are_no_power_blip() -> None:
    """A look whose answer is lost waits while the order goes on, and finds the counters lower than they were."""

    async def scenario(pump: RecoveringPump, plant: SteppingPump, twin: NewEraTwin, wire: WireFaults) -> None:
        wire.dropped = 0.2
        for n in range(100):
            order = asyncio.ensure_future(pump.infuse(60.0 + n, 600.0))
            await asyncio.sleep(0.02 * (n % 10))
            assert (await pump.status()).alarm is None
            await order
            assert plant.commands[-1][1] == pytest.approx(60.0 + n, rel=0.005)
            await asyncio.sleep(30.0)
        after = await pump.status()
        assert (after.lost_ul, after.interruptions) == (0.0, 0)

    with_pump(scenario)


def test_a_power_blip_while_a_new_flow_is_ordered_does_not_lose_the_order() -> None:
    async def scenario(pump: RecoveringPump, plant: SteppingPump, twin: NewEraTwin, wire: WireFaults) -> None:
        await pump.infuse(60.0, 600.0)
        await asyncio.sleep(30.0)
        twin.power_cycle(3)
        assert await pump.infuse(90.0, 300.0) == 90.0
        assert plant.flow_ul_min == 90.0
        assert (await pump.status()).infused_ul >= 30.0

    with_pump(scenario)


@pytest.mark.parametrize("safe_mode_timeout_s", [255, None])
@pytest.mark.parametrize("order", ["status", "infuse", "stop"])
def test_a_power_blip_whose_only_answer_is_lost_shows_in_the_counters(
    order: str, safe_mode_timeout_s: int | None
) -> None:
    async def scenario(pump: RecoveringPump, plant: SteppingPump, twin: NewEraTwin, wire: WireFaults) -> None:
        await pump.infuse(60.0, 600.0)
        await asyncio.sleep(100.0)
        assert (await pump.status()).infused_ul == pytest.approx(100.0, abs=0.5)
        wire.dropped = 1.0
        twin.power_cycle(3)
        asyncio.get_running_loop().call_later(0.1, setattr, wire, "dropped", 0.0)
        if order == "infuse":
            assert await pump.infuse(60.0, 300.0) == 60.0
        elif order == "stop":
            await pump.stop()
        after = await pump.status()
        assert wire.dropped_replies > 0
        assert after.alarm is None
        assert after.state is (PumpState.STOPPED if order == "stop" else PumpState.INFUSING)
        moved_ul = plant.displaced_ul(asyncio.get_running_loop().time())
        assert moved_ul - 0.5 <= after.infused_ul <= moved_ul + 8.0
        assert after.lost_ul > 0.0

    with_pump(scenario, safe_mode_timeout_s=safe_mode_timeout_s)


def test_a_blip_of_a_stopped_pump_does_not_start_it() -> None:
    async def scenario(pump: RecoveringPump, plant: SteppingPump, twin: NewEraTwin, wire: WireFaults) -> None:
        await pump.infuse(60.0, 600.0)
        await pump.stop()
        twin.power_cycle(3)
        status = await pump.status()
        assert (status.state, status.alarm) == (PumpState.STOPPED, None)
        assert plant.flow_ul_min == 0.0

    with_pump(scenario)


def test_a_watchdog_that_an_outage_let_run_out_is_mended_and_the_infusion_goes_on() -> None:
    async def scenario(pump: RecoveringPump, plant: SteppingPump, twin: NewEraTwin, wire: WireFaults) -> None:
        await pump.infuse(60.0, 600.0)
        await pump.status()
        wire.silent = True
        asyncio.get_running_loop().call_later(20.0, setattr, wire, "silent", False)
        status = await pump.status()
        assert (status.state, status.alarm) == (PumpState.INFUSING, None)
        assert plant.flow_ul_min == 60.0
        assert 0.0 in [flow for _, flow in plant.commands[-3:]]

    with_pump(scenario, safe_mode_timeout_s=10)


def test_a_short_watchdog_that_a_host_who_was_away_let_run_out_is_mended_as_well() -> None:
    async def scenario(pump: RecoveringPump, plant: SteppingPump, twin: NewEraTwin, wire: WireFaults) -> None:
        await pump.status()
        await asyncio.sleep(6.0)
        for _ in range(3):
            assert (await pump.status()).alarm is None  # it stood still all the while
        await pump.infuse(60.0, 600.0)
        await asyncio.sleep(6.0)
        status = await pump.status()
        assert (status.state, status.alarm, status.interruptions) == (PumpState.INFUSING, None, 1)

    with_pump(scenario, safe_mode_timeout_s=5, rules=replace(RULES, watchdog_s=5.0))


def test_a_stall_stays_an_alarm() -> None:
    async def scenario(pump: RecoveringPump, plant: SteppingPump, twin: NewEraTwin, wire: WireFaults) -> None:
        plant.stall_at_ul = 10.0
        await pump.infuse(60.0, 600.0)
        await asyncio.sleep(20.0)
        assert (await pump.status()).alarm == "stalled"
        assert plant.flow_ul_min == 0.0

    with_pump(scenario)


def test_an_order_whose_caller_gave_up_is_never_sent() -> None:
    async def scenario(pump: RecoveringPump, plant: SteppingPump, twin: NewEraTwin, wire: WireFaults) -> None:
        wire.silent = True
        order = asyncio.ensure_future(pump.infuse(60.0, 600.0))
        await asyncio.sleep(5.0)
        order.cancel()
        await asyncio.sleep(5.0)
        wire.silent = False
        assert (await pump.status()).state is PumpState.STOPPED
        assert not [flow for _, flow in plant.commands if flow > 0.0]

    with_pump(scenario)


def test_an_order_that_was_overtaken_during_an_outage_is_never_sent() -> None:
    async def scenario(pump: RecoveringPump, plant: SteppingPump, twin: NewEraTwin, wire: WireFaults) -> None:
        wire.silent = True
        order = asyncio.ensure_future(pump.infuse(60.0, 600.0))
        await asyncio.sleep(5.0)
        stop = asyncio.ensure_future(pump.stop())
        await asyncio.sleep(5.0)
        wire.silent = False
        with pytest.raises(SupersededError, match="newer order"):
            await order
        await stop
        assert not [flow for _, flow in plant.commands if flow > 0.0]

    with_pump(scenario)


# ---- a heater -------------------------------------------------------------------------------------------------------


def test_a_controller_that_forgot_its_set_point_is_read_first_and_set_again() -> None:
    async def main() -> None:
        plant = LaggingHeater()
        twin = EurothermTwin(plant)
        wire = WireFaults(seed=1)
        line = ModbusLine({1: twin})
        connect = memory_modbus_connect(wire.around(RtuPort(line)), gate=wire)
        heater = RecoveringHeater(EurothermController(ModbusBus(RtuLink("COM4"), connect=connect)), RULES)
        await heater.connect()
        await heater.set_temperature(110.0)
        loop = asyncio.get_running_loop()
        wire.lose_port()
        loop.call_later(12.0, wire.restore_port)
        twin.write(loop.time(), 26, [200])
        assert plant.target_c == 20.0
        held = heater.latest
        reading = asyncio.ensure_future(heater.read())
        await asyncio.sleep(5.0)
        assert heater.rung is Rung.RECONNECTING
        assert held is None or held.quality is Quality.GOOD
        await reading
        assert plant.target_c == 110.0
        latest = heater.latest
        assert latest is not None
        assert (latest.quality, latest.age_s(loop.time())) == (Quality.GOOD, 0.0)
        # Off is off, also after an outage.
        await heater.heater_off()
        wire.silent = True
        loop.call_later(12.0, setattr, wire, "silent", False)
        await heater.read()
        assert not plant.automatic

    run_virtual(main())


# ---- a spectrometer -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["unplug", "hang"])
def test_a_spectrometer_comes_back_with_its_exposure_and_lamp(kind: str) -> None:
    async def main() -> None:
        plant = LampAndPeak()
        twin = OceanTwin(plant, serial_number="USB2+T00042")
        loop = asyncio.get_running_loop()
        with usb_bus([twin], blocking_clock(loop)) as backend:
            spectrometer = RecoveringSpectrometer(OceanSpectrometer(backend=backend), RecoveryRules(bound_s=60.0))
            await spectrometer.connect()
            await spectrometer.set_integration(0.2)
            await spectrometer.set_lamp(True)
            for _ in range(2):
                before = await spectrometer.acquire()
            if kind == "unplug":
                twin.unplug()
                loop.call_later(10.0, twin.plug)
            else:
                twin.hang()
                loop.call_later(20.0, twin.hang, False)
            after = await spectrometer.acquire()
            assert plant.on
            assert plant.exposures[-1][1:] == (0.2, True)
            assert np.array_equal(before, after)
            assert spectrometer.outages == 1
            await spectrometer.close()

    run_virtual(main())


def test_another_spectrometer_in_the_place_of_the_first_is_not_taken_for_it() -> None:
    async def main() -> None:
        first, second = OceanTwin(LampAndPeak(), serial_number="A1"), OceanTwin(LampAndPeak(), serial_number="B2")
        second.unplug()
        with usb_bus([first, second], blocking_clock(asyncio.get_running_loop())) as backend:
            spectrometer = RecoveringSpectrometer(OceanSpectrometer(backend=backend), RecoveryRules(bound_s=10.0))
            await spectrometer.connect()
            first.unplug()
            second.plug()
            with pytest.raises(LostDeviceError) as caught:
                await spectrometer.acquire()
            assert isinstance(caught.value.__cause__, ProtocolError)
            await spectrometer.close()

    run_virtual(main())


def test_a_pump_whose_watchdog_alarm_was_lost_on_the_line_is_started_again() -> None:
    async def scenario(pump: RecoveringPump, plant: SteppingPump, twin: NewEraTwin, wire: WireFaults) -> None:
        await pump.infuse(60.0, 600.0)
        await pump.status()
        await asyncio.sleep(20.0)
        # The alarm is answered once, to somebody else's command.
        twin.receive(encode_safe(3, ""))
        status = await pump.status()
        assert (status.state, status.alarm) == (PumpState.INFUSING, None)
        assert plant.flow_ul_min == 60.0

    with_pump(scenario, safe_mode_timeout_s=10)
