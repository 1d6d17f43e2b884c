"""The Harvard and Cavro drivers over true pyserial: a TCP port and a pty, with the same twins behind both."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Literal

import pytest

from drivers import CavroPair, CavroPump, HarvardPump, Line, PortError, PumpState, SerialTransport
from orchestrator.clock.virtual_time import run_real
from simulators.links import StreamTwin
from simulators.serve import ServedTwin, serve_pty, serve_tcp
from simulators.wire_cavro import CavroTwin, SharedOutlet
from simulators.wire_harvard import HarvardTwin
from tests.contract.plants import SteppingPump

Serve = Callable[[StreamTwin], Awaitable[tuple[ServedTwin, str]]]


async def on_tcp(twin: StreamTwin) -> tuple[ServedTwin, str]:
    served = await serve_tcp(lambda: twin)
    return served, f"socket://{served.address}"


async def on_pty(twin: StreamTwin) -> tuple[ServedTwin, str]:
    served = await serve_pty(twin)
    return served, served.address


posix = pytest.mark.skipif(os.name != "posix", reason="ptys are POSIX")
ports = pytest.mark.parametrize("serve", [on_tcp, pytest.param(on_pty, marks=posix)])


def motor() -> SteppingPump:
    return SteppingPump(since_s=asyncio.get_running_loop().time())


@ports
def test_a_chain_of_harvard_pumps(serve: Serve) -> None:
    async def main() -> None:
        plants = {0: motor(), 12: motor()}
        served, url = await serve(HarvardTwin(plants))
        line = Line(SerialTransport(url, 115200))
        pumps = [HarvardPump(line, address, 4.61, 500.0, name=f"p{address}") for address in plants]
        for pump in pumps:
            assert "ULTRA" in await pump.connect()
        assert [await pump.infuse(60.0, 0.1) for pump in pumps] == [60.0, 60.0]
        await asyncio.sleep(0.1)
        for pump in pumps:
            status = await pump.status()
            assert (status.state, status.alarm) == (PumpState.STOPPED, None)
            assert 0.07 < status.infused_ul < 1.1  # a second of a busy machine at 60 µL/min
        assert await pumps[1].infuse(80.25, 400.0) == 80.25
        assert (await pumps[1].status()).state is PumpState.INFUSING
        await pumps[1].stop()
        assert plants[12].flow_ul_min == 0.0
        for pump in pumps:
            await pump.close()
        served.close()

    run_real(main())


@pytest.mark.parametrize(("serve", "framing"), [(on_tcp, "DT"), pytest.param(on_pty, "OEM", marks=posix)])
def test_a_cavro_pump_fills_and_gives(serve: Serve, framing: Literal["OEM", "DT"]) -> None:
    async def main() -> None:
        plant = motor()
        served, url = await serve(CavroTwin({0: plant}, syringe_volume_ul=10.0))
        pump = CavroPump(Line(SerialTransport(url, 9600)), 0, 10.0, framing=framing, refill_flow_ul_min=590.0)
        assert "XLP" in await pump.connect()
        assert await pump.infuse(60.0, 0.2) == pytest.approx(60.0)
        await asyncio.sleep(0.3)
        status = await pump.status()
        assert (status.state, status.alarm) == (PumpState.STOPPED, None)
        assert status.infused_ul == pytest.approx(0.2, abs=0.001)
        # The refill runs at 9.8 µL/s of the wall's time: a busy machine ends it some hundredths of a second late.
        assert plant.base_ul == pytest.approx(-9.8, abs=1.0)
        await pump.infuse(60.0, 9.0)
        await pump.stop()
        assert plant.flow_ul_min == 0.0
        await pump.close()
        served.close()

    run_real(main())


def test_a_cavro_pair_hands_over() -> None:
    async def main() -> None:
        plant = motor()
        outlet = SharedOutlet(plant)
        served, url = await on_tcp(CavroTwin(dict(enumerate(outlet.shares)), syringe_volume_ul=10.0))
        pair = CavroPair(Line(SerialTransport(url, 38400)), (0, 1), 10.0, refill_flow_ul_min=600.0)
        await pair.connect()
        await pair.infuse(171.0, 10.5)
        await asyncio.sleep(0.5)
        assert (await pair.status()).state is PumpState.INFUSING
        await asyncio.sleep(3.6)
        status = await pair.status()
        assert (status.state, status.alarm) == (PumpState.STOPPED, None)
        assert status.infused_ul == pytest.approx(10.5, abs=0.01)
        assert plant.base_ul == pytest.approx(10.5, abs=1.5)  # half a second of a busy machine at 171 µL/min
        await pair.close()
        served.close()

    run_real(main())


def test_a_server_that_goes_away_is_a_port_error() -> None:
    async def main() -> None:
        plant = motor()
        twin = CavroTwin({0: plant}, syringe_volume_ul=10.0)
        served = await serve_tcp(lambda: twin)
        pump = CavroPump(Line(SerialTransport(f"socket://{served.address}"), quiet_s=0.01), 0, 10.0)
        await pump.connect()
        served.close()
        with pytest.raises(PortError):
            await pump.status()
        await pump.close()

    run_real(main())
