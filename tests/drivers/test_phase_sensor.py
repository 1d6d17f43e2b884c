"""The bubble sensor over true pymodbus framing, beside a pressure transmitter on the same module."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from drivers import DeviceAlarmError, ModbusBus, OutOfRangeError, PressureTransmitter, RtuLink
from drivers.phase_sensor import Phase, PhaseSensor
from orchestrator.clock.virtual_time import run_virtual
from simulators.links import memory_modbus_connect
from simulators.wire_modbus import ModbusLine, RtuPort
from simulators.wire_phase import InputModuleTwin, PhaseChannel
from simulators.wire_pressure import PressureChannel
from tests.contract.plants import SteadyPressure
from tests.contract.plants_around import Bubble


def play(channel: PhaseChannel, scenario: Callable[[ModbusBus], Awaitable[None]]) -> None:
    async def main() -> None:
        module = InputModuleTwin({0: PressureChannel(SteadyPressure(500.0)), 1: channel})
        bus = ModbusBus(RtuLink("memory"), connect=memory_modbus_connect(RtuPort(ModbusLine({4: module}))))
        await scenario(bus)

    run_virtual(main())


@pytest.mark.parametrize(("liquid_v", "gas_v"), [(5.0, 0.0), (0.4, 4.6)])
def test_a_bubble_passes(liquid_v: float, gas_v: float) -> None:
    async def scenario(bus: ModbusBus) -> None:
        sensor = PhaseSensor(bus, 4, register=1, liquid_v=liquid_v, gas_v=gas_v)
        gauge = PressureTransmitter(bus, 4, register=0)
        await gauge.connect()
        await sensor.connect()
        seen = []
        while asyncio.get_running_loop().time() < 14.0:
            seen.append((await sensor.read()).phase)
            await asyncio.sleep(1.0)
        assert seen == [Phase.LIQUID] * 10 + [Phase.GAS] * 3 + [Phase.LIQUID]
        assert (await gauge.read()).pressure_kpa == pytest.approx(500.0, abs=0.1)
        await sensor.close()
        await gauge.close()

    play(PhaseChannel(Bubble(9.5, 12.5), liquid_v, gas_v), scenario)


@pytest.mark.parametrize(
    ("share", "phase"), [(0.0, Phase.LIQUID), (0.29, Phase.LIQUID), (0.5, Phase.UNCLEAR), (0.71, Phase.GAS)]
)
def test_the_edge_of_a_bubble_is_unclear(share: float, phase: Phase) -> None:
    async def scenario(bus: ModbusBus) -> None:
        sensor = PhaseSensor(bus, 4, register=1)
        await sensor.connect()
        reading = await sensor.read()
        assert reading.phase is phase
        assert reading.voltage_v == pytest.approx(5.0 * (1.0 - share), abs=0.001)

    play(PhaseChannel(Bubble(0.0, share=share)), scenario)


@pytest.mark.parametrize("floating_v", [-3.0, 9.9])
def test_a_voltage_that_no_sensor_gives_is_an_alarm(floating_v: float) -> None:
    async def scenario(bus: ModbusBus) -> None:
        with pytest.raises(DeviceAlarmError, match="no signal of this sensor") as caught:
            await PhaseSensor(bus, 4, register=1).connect()
        assert caught.value.alarm == "signal out of range"

    play(PhaseChannel(Bubble(), open_input=True, floating_v=floating_v), scenario)


def test_a_cut_wire_reads_as_gas_where_zero_volts_is_gas() -> None:
    async def scenario(bus: ModbusBus) -> None:
        assert (await (sensor := PhaseSensor(bus, 4, register=1)).connect()).startswith("phase sensor")
        assert (await sensor.read()).phase is Phase.GAS

    play(PhaseChannel(Bubble(), open_input=True), scenario)


def test_a_sensor_that_cannot_tell_is_refused() -> None:
    bus = ModbusBus(RtuLink("memory"))
    with pytest.raises(ValueError, match="told apart"):
        PhaseSensor(bus, 4, liquid_v=2.5, gas_v=2.5)
    with pytest.raises(OutOfRangeError, match="voltage"):
        PhaseSensor(bus, 4, liquid_v=10.0)
