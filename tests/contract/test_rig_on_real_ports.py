"""A rig file as `--hardware` reads it: pyserial and pymodbus on real sockets, with twins at the far end."""

from __future__ import annotations

import asyncio
import socket

import pytest

from drivers import PortError
from orchestrator.clock.virtual_time import blocking_clock, run_real
from orchestrator.config import LoadedCampaign, parse_campaign
from orchestrator.rig.build import build_rig
from orchestrator.rig.rig import Rig
from orchestrator.rig.tracing import Unrecorded
from simulators.serve import serve_tcp
from simulators.wire_eurotherm import EurothermTwin
from simulators.wire_modbus import ModbusLine, TcpPort
from simulators.wire_new_era import NewEraTwin
from simulators.wire_phase import InputModuleTwin
from simulators.wire_pressure import PressureChannel
from tests.contract.plants import LaggingHeater, SteadyPressure, SteppingPump
from tests.orchestrator.rehearsal import CONFIGS


def on_ports(pumps: int, oven: int) -> LoadedCampaign:
    """The shipped bench with its serial line and its Modbus bus on loopback ports."""
    rig = (CONFIGS / "rigs" / "perovskite-bench.yaml").read_text()
    rig = rig.replace("url: /dev/ttyUSB0", f"url: socket://127.0.0.1:{pumps}")
    rtu = "    kind: modbus_rtu\n    url: /dev/ttyUSB1\n    baud_rate: 9600\n"
    assert rtu in rig
    rig = rig.replace(rtu, f"    kind: modbus_tcp\n    host: 127.0.0.1\n    tcp_port: {oven}\n")
    return parse_campaign((CONFIGS / "campaigns" / "quickstart.yaml").read_text(), "c.yaml", rig, "r.yaml")


def steel(loaded: LoadedCampaign) -> Rig:
    loop = asyncio.get_running_loop()
    return build_rig(loaded, Unrecorded(), hardware=True, clock=blocking_clock(loop), start_s=loop.time())


def test_hardware_mode_reaches_pumps_heater_and_pressure_over_their_true_libraries() -> None:
    async def scenario() -> None:
        mechanics = {address: SteppingPump() for address in range(4)}
        block = LaggingHeater()
        line = ModbusLine(
            {1: EurothermTwin(block), 2: InputModuleTwin({0: PressureChannel(SteadyPressure(), 0.0, 1000.0)})}
        )
        pumps = await serve_tcp(lambda: NewEraTwin(mechanics))
        oven = await serve_tcp(lambda: TcpPort(line))
        rig = steel(on_ports(pumps.port, oven.port))
        try:
            assert rig.exact_restart is False
            assert await rig.pumps["cs"].connect() == "NE1000V3.928"
            for name in ("pb", "halide", "solvent"):
                await rig.pumps[name].connect()
            await rig.heater.connect()
            assert rig.pressure is not None
            await rig.pressure.connect()
            actual = await rig.flow({"cs": 80.0, "solvent": 200.0}, bound_s=60.0)
            assert actual == {"cs": 80.0, "pb": 0.0, "halide": 0.0, "solvent": 200.0}
            assert await rig.heater.set_temperature(90.0) == 90.0
            assert block.target_c == 90.0
            assert (await rig.pumps["cs"].status()).state == "infusing"
            await rig.heater.heater_off()
            await rig.flow({}, bound_s=1.0)
            assert (await rig.pumps["cs"].status()).state == "stopped"
            assert block.automatic is False
        finally:
            await rig.close()
            pumps.close()
            oven.close()

    run_real(scenario())


def test_a_port_where_nobody_answers_is_a_clear_error() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]

    async def scenario() -> None:
        rig = steel(on_ports(port, port))
        with pytest.raises(PortError, match=str(port)):
            await rig.pumps["cs"].connect()

    run_real(scenario())
