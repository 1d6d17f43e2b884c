"""The heater driver over true pymodbus on real ports, and the twin read by an ordinary pymodbus client."""

from __future__ import annotations

import asyncio
import os

import pytest

from drivers import EurothermController, ModbusBus, PortError, PressureTransmitter, RtuLink, TcpLink
from orchestrator.clock.virtual_time import run_real
from simulators.serve import serve_pty, serve_tcp
from simulators.wire_eurotherm import EurothermTwin
from simulators.wire_modbus import ModbusLine, RtuPort, TcpPort
from simulators.wire_phase import InputModuleTwin
from simulators.wire_pressure import PressureChannel
from tests.contract.plants import LaggingHeater, SteadyPressure


def a_line() -> tuple[ModbusLine, LaggingHeater]:
    heater = LaggingHeater(since_s=asyncio.get_running_loop().time())
    module = InputModuleTwin({0: PressureChannel(SteadyPressure(500.0))})
    return ModbusLine({1: EurothermTwin(heater), 2: module}), heater


async def exercise(bus: ModbusBus, plant: LaggingHeater) -> None:
    heater = EurothermController(bus, 1)
    floating = EurothermController(bus, 1, registers="float")
    gauge = PressureTransmitter(bus, 2)
    for device in (heater, floating, gauge):
        await device.connect()
    assert await heater.set_temperature(110.0) == 110.0
    assert plant.target_c == 110.0
    assert (await floating.read()).set_point_c == 110.0
    assert (await gauge.read()).pressure_kpa == pytest.approx(500.0, abs=0.1)
    await heater.heater_off()
    assert not plant.automatic
    for device in (heater, floating, gauge):
        await device.close()


def test_a_heater_over_modbus_tcp_on_a_socket() -> None:
    async def main() -> None:
        line, plant = a_line()
        served = await serve_tcp(lambda: TcpPort(line))
        await exercise(ModbusBus(TcpLink("127.0.0.1", served.port)), plant)
        served.close()

    run_real(main())


def test_a_heater_over_rtu_frames_on_a_socket() -> None:
    async def main() -> None:
        line, plant = a_line()
        served = await serve_tcp(lambda: RtuPort(line))
        await exercise(ModbusBus(RtuLink(f"socket://{served.address}")), plant)
        served.close()

    run_real(main())


@pytest.mark.skipif(os.name != "posix", reason="ptys are POSIX")
def test_a_heater_over_rtu_on_a_pty() -> None:
    async def main() -> None:
        line, plant = a_line()
        served = await serve_pty(RtuPort(line))
        await exercise(ModbusBus(RtuLink(served.address)), plant)
        served.close()

    run_real(main())


def test_an_ordinary_client_reads_the_twin() -> None:
    async def main() -> None:
        from pymodbus.client import AsyncModbusTcpClient

        line, _ = a_line()
        served = await serve_tcp(lambda: TcpPort(line))
        client = AsyncModbusTcpClient("127.0.0.1", port=served.port, timeout=2, reconnect_delay=0)
        await client.connect()
        assert (await client.read_holding_registers(24, count=1, device_id=1)).registers == [200]
        refused = await client.read_holding_registers(600, count=1, device_id=1)
        assert (refused.isError(), refused.exception_code) == (True, 2)
        assert (await client.read_coils(0, count=1, device_id=1)).exception_code == 1
        client.close()
        served.close()

    run_real(main())


def test_a_server_that_is_not_there_is_a_port_error() -> None:
    async def main() -> None:
        served = await serve_tcp(lambda: TcpPort(a_line()[0]))
        served.close()
        await asyncio.sleep(0.01)
        with pytest.raises(PortError, match=f"127.0.0.1:{served.port}"):
            await ModbusBus(TcpLink("127.0.0.1", served.port)).open()

    run_real(main())


def test_a_lost_connection_is_taken_up_again() -> None:
    async def main() -> None:
        line, _ = a_line()
        served = await serve_tcp(lambda: TcpPort(line))
        bus = ModbusBus(TcpLink("127.0.0.1", served.port), timeout_s=0.1, quiet_s=0.01)
        await bus.open()
        assert await bus.read_holding(1, 24) == [200]
        served.close()
        again = await serve_tcp(lambda: TcpPort(line), port=served.port)
        assert await bus.read_holding(1, 24) == [200]
        await bus.close()
        again.close()

    run_real(main())
