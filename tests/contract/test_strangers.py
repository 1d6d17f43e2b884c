"""Other people's software at the other end of the wire: their clients drive our twins, their server our drivers."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import pytest

from drivers import EurothermController, ModbusBus, PressureTransmitter, ProtocolError, ReadBackError, TcpLink
from orchestrator.clock.virtual_time import run_real
from simulators.serve import serve_pty, serve_tcp
from simulators.wire_bronkhorst import BronkhorstTwin
from simulators.wire_eurotherm import EurothermTwin
from simulators.wire_modbus import ModbusLine, RtuPort, TcpPort
from simulators.wire_new_era import NewEraTwin
from simulators.wire_phase import InputModuleTwin
from simulators.wire_pressure import PressureChannel
from tests.contract.plants import LaggingHeater, SteadyPressure, SteppingPump
from tests.contract.plants_around import GasLine

posix = pytest.mark.skipif(os.name != "posix", reason="ptys are POSIX")


def a_pump() -> tuple[NewEraTwin, SteppingPump]:
    plant = SteppingPump(since_s=asyncio.get_running_loop().time())
    return NewEraTwin({0: plant}), plant


def a_line() -> tuple[ModbusLine, LaggingHeater]:
    heater = LaggingHeater(since_s=asyncio.get_running_loop().time())
    module = InputModuleTwin({0: PressureChannel(SteadyPressure(500.0))})
    return ModbusLine({1: EurothermTwin(heater), 2: module}), heater


async def elsewhere(client: Callable[[], None]) -> None:
    """A blocking client in a thread of its own, as it would be in a program of its own."""
    await asyncio.wait_for(asyncio.to_thread(client), timeout=20.0)


@posix
@pytest.mark.parametrize("safe_mode_timeout_s", [0, 5])
def test_nesp_lib_runs_the_syringe_pump(safe_mode_timeout_s: int) -> None:
    import nesp_lib

    async def main() -> None:
        twin, plant = a_pump()
        served = await serve_pty(twin)

        def client() -> None:
            with nesp_lib.Port(served.address, 19200) as port:
                # Opened without safe mode: a pump fresh from power-up answers its first command with its alarm, in the
                # basic protocol.
                pump = nesp_lib.Pump(port, 0, 1000)
                pump.safe_mode_timeout_s = safe_mode_timeout_s
                assert pump.safe_mode_timeout_s == safe_mode_timeout_s
                assert pump.firmware_version == (3, 928)
                pump.syringe_diameter_mm = 14.0
                assert pump.syringe_diameter_mm == 14.0
                pump.pumping_direction = nesp_lib.PumpingDirection.INFUSE
                pump.pumping_volume_ml = 0.02
                # Slow enough for a busy machine: the twin's motor stops when its loop comes to it, 20 µl a second.
                pump.pumping_rate_ml_per_min = 1.2
                assert pump.pumping_rate_ml_per_min == pytest.approx(1.2)
                pump.run(wait_while_running=False)
                assert pump.running
                pump.wait_while_running()
                assert pump.volume_infused_ml == pytest.approx(0.02, abs=0.004)
                pump.volume_infused_clear()
                assert pump.volume_infused_ml == 0.0
                with pytest.raises(ValueError, match="rate"):
                    pump.pumping_rate_ml_per_min = 900.0
                pump.safe_mode_timeout_s = 0

        await elsewhere(client)
        assert plant.base_ul == pytest.approx(20.0, abs=4.0)
        assert plant.flow_ul_min == 0.0
        served.close()

    run_real(main())


@posix
def test_nesp_lib_hears_of_a_stall() -> None:
    import nesp_lib

    async def main() -> None:
        twin, plant = a_pump()
        plant.stall_at_ul = 5.0
        served = await serve_pty(twin)

        def client() -> None:
            with nesp_lib.Port(served.address, 19200) as port:
                pump = nesp_lib.Pump(port)
                pump.syringe_diameter_mm = 14.0
                pump.pumping_rate_ml_per_min = 6.0
                with pytest.raises(nesp_lib.StatusAlarmException):
                    pump.run()

        await elsewhere(client)
        served.close()

    run_real(main())


@posix
def test_minimalmodbus_reads_and_sets_the_temperature_controller_over_a_pty() -> None:
    import minimalmodbus

    async def main() -> None:
        line, plant = a_line()
        served = await serve_pty(RtuPort(line))

        def client() -> None:
            controller = minimalmodbus.Instrument(served.address, 1)
            controller.serial.baudrate = 9600
            controller.serial.timeout = 1.0
            assert controller.read_register(24, number_of_decimals=1) == 20.0
            controller.write_register(26, 95.5, number_of_decimals=1, functioncode=6)
            controller.write_register(276, 1, functioncode=6)
            assert controller.read_register(5, number_of_decimals=1) == 95.5
            assert controller.read_float(0x8000 + 2 * 26) == 95.5
            controller.write_float(0x8000 + 2 * 26, 80.25)
            assert controller.read_float(0x8000 + 2 * 26) == 80.25
            assert controller.read_registers(1, 5)[4] == 802
            with pytest.raises(minimalmodbus.IllegalRequestError):
                controller.write_register(26, 900.0, number_of_decimals=1, functioncode=6)
            gauge = minimalmodbus.Instrument(served.address, 2)
            gauge.serial.timeout = 1.0
            assert gauge.read_register(0, functioncode=4) == 12_000
            nobody = minimalmodbus.Instrument(served.address, 9)
            nobody.serial.timeout = 0.2
            with pytest.raises(minimalmodbus.NoResponseError):
                nobody.read_register(24)
            controller.serial.close()

        await elsewhere(client)
        assert plant.target_c == 80.25
        served.close()

    run_real(main())


@posix
def test_the_makers_own_package_reads_and_sets_the_bronkhorst_over_a_pty() -> None:
    import propar

    async def main() -> None:
        plant = GasLine(lag_s=1e-6)
        served = await serve_pty(BronkhorstTwin(plant, capacity=100.0))

        def client() -> None:
            instrument = propar.instrument(served.address, address=0x80, baudrate=38400)
            try:
                assert instrument.readParameter(21) == pytest.approx(100.0)
                assert instrument.writeParameter(9, 16_000)
                assert instrument.readParameter(9) == 16_000
                assert instrument.measure == pytest.approx(16_000, abs=2)
                instrument.setpoint = 8_000
                assert instrument.setpoint == 8_000
                assert str(instrument.readParameter(25)).strip() == "N2"
                assert instrument.readParameter(92)
            finally:
                instrument.master.stop()
                instrument.master.propar.stop()

        await elsewhere(client)
        assert plant.set_point == pytest.approx(25.0, rel=1e-3)
        served.close()

    run_real(main())


@pytest.mark.parametrize("framing", ["rtu", "socket"])
def test_pymodbus_in_blocking_mode_reads_and_sets_the_temperature_controller(framing: str) -> None:
    from pymodbus import FramerType
    from pymodbus.client import ModbusTcpClient

    async def main() -> None:
        line, plant = a_line()
        served = await serve_tcp(lambda: RtuPort(line) if framing == "rtu" else TcpPort(line))

        def client() -> None:
            with ModbusTcpClient(
                "127.0.0.1",
                port=served.port,
                framer=FramerType.RTU if framing == "rtu" else FramerType.SOCKET,
                timeout=2,
            ) as bus:
                assert bus.read_holding_registers(24, count=1, device_id=1).registers == [200]
                assert not bus.write_register(26, 955, device_id=1).isError()
                assert not bus.write_registers(276, [1], device_id=1).isError()
                assert bus.read_input_registers(0, count=1, device_id=2).registers == [12_000]
                assert bus.write_register(26, 9000, device_id=1).exception_code == 3

        await elsewhere(client)
        assert plant.target_c == 95.5
        served.close()

    run_real(main())


def their_server(registers: dict[int, int], inputs: dict[int, int], port: int = 0) -> Any:
    """pymodbus's own server with the registers of a controller, all of them plain memory."""
    from pymodbus.server import ModbusTcpServer
    from pymodbus.simulator import DataType, SimData, SimDevice

    def block(values: dict[int, int]) -> list[SimData]:
        return [
            SimData(address, values=value, datatype=DataType.REGISTERS) for address, value in sorted(values.items())
        ]

    bits = [SimData(0, values=0, datatype=DataType.BITS)]
    device = SimDevice(1, (bits, bits, block(registers), block(inputs)))
    return ModbusTcpServer(device, address=("127.0.0.1", port))


async def on_their_server(registers: dict[int, int], inputs: dict[int, int], use: Callable[[ModbusBus], Any]) -> None:
    server = their_server(registers, inputs)
    await server.serve_forever(background=True)
    port = server.transport.sockets[0].getsockname()[1]
    try:
        await use(ModbusBus(TcpLink("127.0.0.1", port)))
    finally:
        await server.shutdown()


CONTROLLER = {**dict.fromkeys(range(1, 6), 0), 1: 234, 5: 250, 26: 200, 75: 0, 273: 1, 276: 0, 3: 0}


def test_the_heater_driver_sets_and_reads_their_server() -> None:
    async def use(bus: ModbusBus) -> None:
        heater = EurothermController(bus, 1)
        await heater.connect()
        reading = await heater.read()
        assert (reading.temperature_c, reading.set_point_c, reading.sensor_break) == (23.4, 25.0, False)
        assert await heater.set_temperature(110.0) == 110.0
        assert await bus.read_holding(1, 26) == [1100]
        assert await bus.read_holding(1, 276) == [1]
        assert await bus.read_holding(1, 273) == [0]
        await heater.heater_off()
        assert await bus.read_holding(1, 273) == [1]
        await heater.close()

    run_real(on_their_server(CONTROLLER, {0: 12_000}, use))


def test_the_pressure_driver_reads_their_server() -> None:
    async def use(bus: ModbusBus) -> None:
        gauge = PressureTransmitter(bus, 1)
        await gauge.connect()
        assert (await gauge.read()).pressure_kpa == pytest.approx(500.0)
        await gauge.close()

    run_real(on_their_server(CONTROLLER, {0: 12_000}, use))


def test_a_server_that_keeps_another_value_than_the_one_written_is_caught() -> None:
    async def main() -> None:
        from pymodbus.server import ModbusTcpServer
        from pymodbus.simulator import DataType, SimData, SimDevice

        async def meddle(function: int, start: int, address: int, count: int, current: Any, new: Any) -> Any:
            return None if new is None or address != 26 else [900]

        data = [
            SimData(address, values=value, datatype=DataType.REGISTERS) for address, value in sorted(CONTROLLER.items())
        ]
        server = ModbusTcpServer(SimDevice(1, data, action=meddle), address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        listener = server.transport
        assert isinstance(listener, asyncio.Server)
        bus = ModbusBus(TcpLink("127.0.0.1", listener.sockets[0].getsockname()[1]))
        heater = EurothermController(bus, 1)
        await heater.connect()
        with pytest.raises((ReadBackError, ProtocolError)):
            await heater.set_temperature(110.0)
        await heater.close()
        await server.shutdown()  # type: ignore[no-untyped-call]

    run_real(main())
