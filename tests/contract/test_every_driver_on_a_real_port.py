"""Every driver over pyserial and pymodbus on true ports: TCP, and a pty where the kernel has one of that framing."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from drivers import Line, ModbusBus, PortError, RtuLink, SerialTransport, TcpLink
from orchestrator.clock.virtual_time import run_real
from simulators.serve import ServedTwin, serve_pty, serve_tcp
from tests.contract.table import ENTRIES, Entry
from tests.contract.test_every_driver import RESTING, WANTED, check_reading, does, put, reading_of, rest

posix = pytest.mark.skipif(os.name != "posix", reason="ptys are POSIX")
SLOW = {"cavro in OEM frames", "cavro in DT frames", "cavro pair"}
"""Their first infusion fills a syringe, which takes its time; tests/contract/test_other_pumps_on_a_real_port.py."""


OTHER_FORMS = {
    "harvard on a chain",
    "new era in safe mode",
    "vici by unit",
    "cavro in DT frames",
    "eurotherm in floats",
}


def opened(entry: Entry, served: ServedTwin, pty: bool) -> Line | ModbusBus:
    if entry.wire == "tcp":
        return ModbusBus(TcpLink("127.0.0.1", served.port))
    url = served.address if pty else f"socket://{served.address}"
    if entry.wire == "rtu":
        return ModbusBus(RtuLink(url, entry.settings.baud_rate))
    settings = entry.settings
    return Line(SerialTransport(url, settings.baud_rate, settings.bytesize, settings.parity))


def marks(entry: Entry, pty: bool) -> list[pytest.MarkDecorator]:
    """Each driver always on one of the two, its other forms in the long run: real ports take real seconds."""
    other_form = entry.name in OTHER_FORMS or (pty is (entry.role in ("heater", "pressure")) and entry.wire != "tcp")
    seven_bits = entry.settings.bytesize == 7
    return [*([posix] if pty else []), *([pytest.mark.long] if other_form and not seven_bits else [])]


@pytest.mark.parametrize(
    ("entry", "pty"),
    [
        pytest.param(entry, pty, id=f"{entry.name} on {'a pty' if pty else 'TCP'}", marks=marks(entry, pty))
        for entry in ENTRIES
        for pty in (False, True)
        # The kernel refuses ptys of seven bits and of parity.
        if not (pty and (entry.wire == "tcp" or entry.settings.bytesize == 7))
    ],
)
def test_a_driver_is_at_home_on_a_real_port(entry: Entry, pty: bool) -> None:
    async def main() -> None:
        bench = entry.bench()
        served = await serve_pty(bench.twin) if pty else await serve_tcp(lambda: bench.twin)
        line = opened(entry, served, pty)
        device: Any = entry.driver(line, "mine")
        assert (await device.look()).identity
        assert await device.connect()
        if entry.role in WANTED and entry.name not in SLOW:
            assert await put(entry.role, device) == pytest.approx(WANTED[entry.role], rel=1e-3)
            assert does(entry.role, bench.plant) == WANTED[entry.role]
            check_reading(entry.role, await reading_of(entry.role, device))
            await rest(entry.role, device)
            assert does(entry.role, bench.plant) == RESTING[entry.role]
        await reading_of(entry.role, device)
        served.close()
        await asyncio.sleep(0.01)
        with pytest.raises(PortError, match="mine"):
            await reading_of(entry.role, device)
        for _ in range(2):
            await device.close()

    run_real(main())
