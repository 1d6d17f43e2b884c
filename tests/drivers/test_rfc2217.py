"""A port behind a serial server that speaks RFC 2217, by the wall's clock on this computer's own network."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import serial
from serial.rfc2217 import PortManager

from drivers import EurothermController, ModbusBus, PortError, RtuLink
from drivers.transport import SerialTransport


class Connection:
    """What pyserial's own half of the protocol writes its answers to."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected

    def write(self, data: bytes) -> None:
        self._socket.sendall(data)


def serve(listening: socket.socket) -> None:
    """One connection: negotiate, then say everything back."""
    connected, _ = listening.accept()
    with connected:
        stand_ins: tuple[Any, Any] = serial.serial_for_url("loop://"), Connection(connected)
        manager = PortManager(*stand_ins)
        while data := connected.recv(1024):
            connected.sendall(b"".join(manager.escape(b"".join(manager.filter(data)))))


@pytest.fixture
def url() -> Iterator[str]:
    """Where a serial server listens that says everything back."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        serving = threading.Thread(target=serve, args=(listening,), daemon=True)
        serving.start()
        yield f"rfc2217://127.0.0.1:{port}"
    serving.join(5.0)


@pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")  # pyserial's own
def test_bytes_go_there_and_back(url: str) -> None:
    async def main() -> None:
        port = SerialTransport(url, 9600)
        await port.open()
        await port.discard_input()
        await port.write(b"\xff\x00VER\r")  # 0xFF has a meaning of its own on that wire
        assert await port.read_until(b"\r", 5.0) == b"\xff\x00VER\r"
        await port.close()

    asyncio.run(main())


@pytest.mark.parametrize("url", ["rfc2217://127.0.0.1:1", "loop://"])
def test_modbus_says_that_it_cannot_be_spoken_there(url: str) -> None:
    async def main() -> None:
        heater = EurothermController(ModbusBus(RtuLink(url)), name="oven")
        with pytest.raises(
            PortError, match=r"oven on .*: Modbus RTU needs a serial port of this computer, or socket://"
        ):
            await heater.connect()

    asyncio.run(main())
