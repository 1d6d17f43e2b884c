"""With what a rig file's ports are opened on the real wire."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from drivers import DriverError
from orchestrator.config import parse_rig
from orchestrator.rig.assembling import SharedPorts, Steel
from tests.orchestrator.rehearsal import CONFIGS


class OpenedError(OSError):
    """A port was to be opened."""


@pytest.mark.parametrize(
    ("opener", "port", "written"),
    [
        ("serial.serial_for_url", "pumps", "baud_rate: 19200"),
        ("pymodbus.client.AsyncModbusSerialClient", "oven", "baud_rate: 9600"),
    ],
)
@pytest.mark.parametrize(
    ("more", "parity", "stop_bits"),
    [
        ([], "N", 1),
        (["parity: even"], "E", 1),
        (["parity: odd", "stop_bits: 2"], "O", 2),
        (["stop_bits: 2"], "N", 2),
    ],
)
def test_a_port_is_opened_with_the_parity_and_stop_bits_of_the_rig_file(
    opener: str,
    port: str,
    written: str,
    more: list[str],
    parity: str,
    stop_bits: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: dict[str, Any] = {}

    def opened(*_: object, **settings: Any) -> Any:
        asked.update(settings)
        raise OpenedError

    text = (CONFIGS / "rigs" / "perovskite-bench.yaml").read_text()
    assert f"    {written}\n" in text
    rig = parse_rig(text.replace(f"    {written}\n", "".join(f"    {line}\n" for line in [written, *more])), "r")
    ports = SharedPorts(rig, Steel(rig))
    monkeypatch.setattr(opener, opened)

    async def main() -> None:
        with pytest.raises((OSError, DriverError)):
            await (ports.line(port).open() if port == "pumps" else ports.bus(port).open())

    asyncio.run(main())
    assert (asked["parity"], asked["stopbits"]) == (parity, stop_bits)
