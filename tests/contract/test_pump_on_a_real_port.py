"""The pump driver over true pyserial: a TCP port and a pty, with the same twin behind both."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest

from drivers import Line, NewEraPump, PortError, PumpState, SerialTransport
from orchestrator.clock.virtual_time import run_real
from simulators.serve import ServedTwin, serve_pty, serve_tcp
from simulators.wire_new_era import NewEraTwin
from tests.contract.plants import SteppingPump

posix = pytest.mark.skipif(os.name != "posix", reason="ptys are POSIX")
Serve = Callable[[NewEraTwin], Awaitable[tuple[ServedTwin, str]]]


async def on_tcp(twin: NewEraTwin) -> tuple[ServedTwin, str]:
    served = await serve_tcp(lambda: twin)
    return served, f"socket://{served.address}"


async def on_pty(twin: NewEraTwin) -> tuple[ServedTwin, str]:
    served = await serve_pty(twin)
    return served, served.address


@pytest.mark.parametrize("serve", [on_tcp, pytest.param(on_pty, marks=posix)])
@pytest.mark.parametrize("safe_mode_timeout_s", [None, 20])
def test_a_pump_is_driven_over_pyserial(serve: Serve, safe_mode_timeout_s: int | None) -> None:
    async def main() -> None:
        plants = {0: SteppingPump(), 1: SteppingPump()}
        loop = asyncio.get_running_loop()
        for plant in plants.values():
            plant.since_s = loop.time()
        served, url = await serve(NewEraTwin(plants))
        line = Line(SerialTransport(url, 19200))
        pumps = [
            NewEraPump(line, address, 4.61, 500.0, safe_mode_timeout_s=safe_mode_timeout_s, name=f"p{address}")
            for address in plants
        ]
        for pump in pumps:
            assert await pump.connect() == "NE1000V3.928"
        assert await asyncio.gather(*(pump.infuse(60.0, 0.1) for pump in pumps)) == [60.0, 60.0]
        assert await pumps[0].infuse(80.25, 400.0) == 80.25
        assert (await pumps[0].status()).state is PumpState.INFUSING
        await pumps[0].stop()
        await asyncio.sleep(0.1)
        status = await pumps[1].status()
        assert (status.state, status.alarm) == (PumpState.STOPPED, None)
        assert 0.07 < status.infused_ul < 1.1  # a second of a busy machine at 60 µL/min
        for pump in pumps:
            await pump.close()
        served.close()

    run_real(main())


def test_a_port_that_is_not_there_is_named() -> None:
    async def main() -> None:
        pump = NewEraPump(Line(SerialTransport("/dev/no-such-port")), 0, 4.61)
        with pytest.raises(PortError, match="/dev/no-such-port"):
            await pump.connect()

    run_real(main())


@posix
def test_a_port_in_use_is_refused() -> None:
    async def main() -> None:
        served = await serve_pty(NewEraTwin({0: SteppingPump()}))
        first, second = SerialTransport(served.address), SerialTransport(served.address)
        await first.open()
        with pytest.raises(PortError):
            await second.open()
        await second.close()
        await first.close()
        served.close()

    run_real(main())


def test_a_server_that_goes_away_is_a_port_error() -> None:
    async def main() -> None:
        plant = SteppingPump(since_s=asyncio.get_running_loop().time())
        twin = NewEraTwin({0: plant})
        served = await serve_tcp(lambda: twin)
        pump = NewEraPump(Line(SerialTransport(f"socket://{served.address}"), quiet_s=0.01), 0, 4.61)
        await pump.connect()
        served.close()
        with pytest.raises(PortError):
            await pump.status()
        await pump.close()

    run_real(main())


def test_twins_are_served_on_the_loopback_only() -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="loopback"):
            await serve_tcp(lambda: NewEraTwin({0: SteppingPump()}), host="0.0.0.0")

    run_real(main())
