"""Valve, gas controllers, bubble sensor and exported files over true ports: TCP, a pty, a folder, the real clock."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from drivers import Line, ModbusBus, SerialTransport, TcpLink
from drivers.alicat import AlicatController
from drivers.bronkhorst import BronkhorstController
from drivers.folder_spectrometer import FolderSpectrometer
from drivers.phase_sensor import Phase, PhaseSensor
from drivers.vici import ViciSelector
from orchestrator.virtual_time import run_real
from simulators.links import StreamTwin
from simulators.serve import ServedTwin, serve_pty, serve_tcp
from simulators.wire_alicat import AlicatTwin, AlicatUnit
from simulators.wire_bronkhorst import BronkhorstTwin
from simulators.wire_folder import FolderTwin
from simulators.wire_modbus import ModbusLine, TcpPort
from simulators.wire_phase import InputModuleTwin, PhaseChannel
from simulators.wire_vici import ViciActuator, ViciTwin
from tests.contract.plants import LampAndPeak
from tests.contract.plants_around import Bubble, GasLine, TurningValve

posix = pytest.mark.skipif(os.name != "posix", reason="ptys are POSIX")
Serve = Callable[[StreamTwin], Awaitable[tuple[ServedTwin, str]]]


async def on_tcp(twin: StreamTwin) -> tuple[ServedTwin, str]:
    served = await serve_tcp(lambda: twin)
    return served, f"socket://{served.address}"


async def on_pty(twin: StreamTwin) -> tuple[ServedTwin, str]:
    served = await serve_pty(twin)
    return served, served.address


everywhere = pytest.mark.parametrize("serve", [on_tcp, pytest.param(on_pty, marks=posix)])


@everywhere
def test_a_selector_valve_is_turned(serve: Serve) -> None:
    async def main() -> None:
        rotor = TurningValve(step_s=0.02)
        served, url = await serve(ViciTwin({"": ViciActuator(rotor)}))
        valve = ViciSelector(Line(SerialTransport(url, 9600), timeout_s=0.1, quiet_s=0.02), 10, poll_s=0.02)
        assert await valve.connect() == "VICI selector valve, 10 positions, at 1"
        await valve.move(4)
        assert (rotor.at, await valve.position()) == (4, 4)
        await valve.close()
        served.close()

    run_real(main())


@everywhere
@pytest.mark.parametrize("maker", ["alicat", "bronkhorst"])
def test_a_gas_flow_is_set(serve: Serve, maker: str) -> None:
    async def main() -> None:
        plant = GasLine(lag_s=0.001)
        twin: StreamTwin = AlicatTwin({"A": AlicatUnit(plant)}) if maker == "alicat" else BronkhorstTwin(plant)
        served, url = await serve(twin)
        gas: AlicatController | BronkhorstController = (
            AlicatController(Line(SerialTransport(url, 19200)), full_scale=100.0)
            if maker == "alicat"
            else BronkhorstController(Line(SerialTransport(url, 38400)))
        )
        await gas.connect()
        assert await gas.set_flow(15.0) == pytest.approx(15.0, abs=0.01)
        await asyncio.sleep(0.02)
        assert (await gas.read()).flow_mln_min == pytest.approx(15.0, abs=0.01)
        await gas.stop()
        assert plant.set_point == 0.0
        await gas.close()
        served.close()

    run_real(main())


def test_a_bubble_sensor_is_read_over_modbus_tcp() -> None:
    async def main() -> None:
        line = ModbusLine({4: InputModuleTwin({1: PhaseChannel(Bubble(begins_s=0.0))})})
        served = await serve_tcp(lambda: TcpPort(line))
        sensor = PhaseSensor(ModbusBus(TcpLink("127.0.0.1", served.port)), 4, register=1)
        await sensor.connect()
        assert (await sensor.read()).phase is Phase.GAS
        await sensor.close()
        served.close()

    run_real(main())


def test_exported_files_are_read_in_real_time(tmp_path: Path) -> None:
    async def main() -> None:
        wavelengths = 350.0 + 0.4 * np.arange(64, dtype=np.float64)
        twin = FolderTwin(
            LampAndPeak(pixels=64), tmp_path, wavelengths, integration_s=0.05, period_s=0.3, writing_s=0.05
        )
        twin.start(asyncio.get_running_loop())
        spectrometer = FolderSpectrometer(tmp_path, integration_s=0.05, stable_s=0.06, poll_s=0.02, timeout_s=3.0)
        await spectrometer.connect()
        assert (await spectrometer.acquire()).tolist() == [1000.0] * 64
        twin.stop()
        await spectrometer.close()

    run_real(main())
