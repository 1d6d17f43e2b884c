"""Bytes to and from a device: the transport protocol, pyserial behind it, and a line shared by chained devices."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeVar

from drivers.errors import DriverError, NotConnectedError, PortError, ProtocolError, WireTimeoutError

if TYPE_CHECKING:
    from serial import Serial

__all__ = [
    "PORT_ERRORS",
    "BlockingClock",
    "DriverError",
    "Line",
    "Neighbour",
    "NotConnectedError",
    "PortError",
    "ProtocolError",
    "SerialTransport",
    "Transport",
    "WireTimeoutError",
]

T = TypeVar("T")


def _port_errors() -> tuple[type[Exception], ...]:
    """What a port raises when it cannot be opened, set or reached. serial.SerialException is an OSError."""
    try:
        import termios
    except ImportError:  # Windows has none
        return OSError, ValueError
    return OSError, ValueError, termios.error


PORT_ERRORS: Final = _port_errors()


class BlockingClock(Protocol):
    """The loop's clock for code that runs in a worker thread."""

    def now(self) -> float:
        """Seconds of the loop's clock."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Block the calling worker thread for ``duration_s`` of the loop's time."""
        ...


class Transport(Protocol):
    """A stream of bytes to a device.

    Every method raises :class:`PortError` when the port is gone; the reads raise :class:`WireTimeoutError`, with what
    had come so far in ``answered``.
    """

    @property
    def name(self) -> str:
        """The port in words, for messages."""
        ...

    async def open(self) -> None:
        """Open the port; does nothing when it is open."""
        ...

    async def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        ...

    async def read_until(self, terminator: bytes, timeout_s: float) -> bytes:
        """Bytes up to and including ``terminator``."""
        ...

    async def read_exactly(self, n: int, timeout_s: float) -> bytes:
        """Exactly ``n`` bytes."""
        ...

    async def discard_input(self) -> None:
        """Drop everything that has arrived and was not read."""
        ...

    async def close(self) -> None:
        """Close the port; does nothing when it is closed."""
        ...


class SerialTransport:
    """pyserial behind one owner thread.

    ``url`` is any pyserial URL: ``/dev/ttyUSB0``, ``COM3``, ``socket://127.0.0.1:4001``, ``rfc2217://host:port``.
    The port is opened for exclusive use where the platform knows how.
    """

    def __init__(
        self,
        url: str,
        baud_rate: int = 19200,
        bytesize: Literal[5, 6, 7, 8] = 8,
        parity: Literal["N", "E", "O"] = "N",
        stopbits: Literal[1, 2] = 1,
    ) -> None:
        if not url:
            raise ValueError("a serial port needs a name or URL")
        if baud_rate <= 0:
            raise ValueError(f"baud rate must be positive, not {baud_rate}")
        self._url = url
        self._baud_rate = baud_rate
        self._bytesize = bytesize
        self._parity = parity
        self._stopbits = stopbits
        self._port: Serial | None = None
        self._executor: ThreadPoolExecutor | None = None

    @property
    def name(self) -> str:
        return self._url

    async def open(self) -> None:
        if self._port is not None:
            return
        if self._executor is None:
            self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"serial {self._url}")
        self._port = await self._call(self._open_port)

    async def write(self, data: bytes) -> None:
        port = self._opened()

        def write() -> None:
            port.write(data)
            port.flush()

        await self._call(write)

    async def read_until(self, terminator: bytes, timeout_s: float) -> bytes:
        port = self._opened()

        def read() -> bytes:
            self._set_timeout(port, timeout_s)
            return bytes(port.read_until(terminator))

        data = await self._call(read)
        if not data.endswith(terminator):
            raise WireTimeoutError(f"no complete answer within {timeout_s:g} s", port=self._url, answered=data)
        return data

    async def read_exactly(self, n: int, timeout_s: float) -> bytes:
        port = self._opened()

        def read() -> bytes:
            self._set_timeout(port, timeout_s)
            return bytes(port.read(n))

        data = await self._call(read)
        if len(data) < n:
            raise WireTimeoutError(f"{len(data)} of {n} bytes within {timeout_s:g} s", port=self._url, answered=data)
        return data

    async def discard_input(self) -> None:
        await self._call(self._opened().reset_input_buffer)

    async def close(self) -> None:
        port, self._port = self._port, None
        executor, self._executor = self._executor, None
        if port is not None and executor is not None:
            with contextlib.suppress(*PORT_ERRORS):  # a port that went away cannot be closed in good order
                await asyncio.get_running_loop().run_in_executor(executor, port.close)
        if executor is not None:
            executor.shutdown(wait=False)

    def _open_port(self) -> Serial:
        import serial

        return serial.serial_for_url(
            self._url,
            baudrate=self._baud_rate,
            bytesize=self._bytesize,
            parity=self._parity,
            stopbits=self._stopbits,
            timeout=1.0,
            # pyserial's RFC 2217 knows none, and refuses to open with one.
            write_timeout=None if self._url.startswith("rfc2217://") else 5.0,
            exclusive=True,
        )

    @staticmethod
    def _set_timeout(port: Serial, timeout_s: float) -> None:
        # Assigning reconfigures the port, so only a change is assigned.
        if port.timeout != timeout_s:
            port.timeout = timeout_s

    def _opened(self) -> Serial:
        if self._port is None:
            raise NotConnectedError("the port is not open", port=self._url)
        return self._port

    async def _call(self, action: Callable[[], T]) -> T:
        """Run ``action`` in the owner thread."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, action)
        except PORT_ERRORS as error:
            raise PortError(f"{error}", port=self._url) from error


class Neighbour(Protocol):
    """A device on a line whose protocol has no checksum: an order for another one may have reached it.

    ``doubted``: whether one may have, and it has not been looked at since.
    """

    @property
    def doubted(self) -> bool: ...

    def doubt(self) -> None:
        """An order for another one was not answered as it should be."""
        ...

    async def verify(self) -> None:
        """If doubted, read what it does, and have it do again what it was last told itself."""
        ...


class Line:
    """A byte line shared by chained devices: one exchange at a time.

    After an exchange that ended badly (time-out, garbage, cancelled caller) a late answer may still be on its way, so
    the next exchange first waits ``quiet_s`` and drops what has come. A port that went away is opened anew by the next
    exchange. ``open`` and ``close`` count their callers: the last one to close closes the port.

    ``neighbours``: those of its devices that an order for another one may reach unnoticed; they enter and leave it.
    ``failures`` and ``garbled``: how many questions in a row, whoever asked, had no sound answer, and how many of them
    garbage; those who ask count them.
    """

    def __init__(self, transport: Transport, *, timeout_s: float = 0.5, quiet_s: float = 0.5) -> None:
        if timeout_s <= 0 or quiet_s < 0:
            raise ValueError(f"time-out {timeout_s} s and quiet gap {quiet_s} s must be positive")
        self._transport = transport
        self._timeout_s = timeout_s
        self._quiet_s = quiet_s
        self._lock = asyncio.Lock()
        self._unsettled = False
        self._broken = False
        self._users = 0
        self.neighbours: list[Neighbour] = []
        self.failures = 0
        self.garbled = 0

    @property
    def name(self) -> str:
        """The port in words."""
        return self._transport.name

    async def open(self, device: str = "") -> None:
        """Open the port for one more user. ``device`` is named in a PortError."""
        async with self._lock:
            await self._ensure_open(device)
            self._users += 1

    async def close(self) -> None:
        """One user fewer; the last one closes the port."""
        async with self._lock:
            self._users = max(0, self._users - 1)
            if self._users == 0:
                await self._transport.close()

    async def exchange(
        self, request: bytes, receive: Callable[[Transport, float], Awaitable[bytes]], *, device: str = ""
    ) -> bytes:
        """Send ``request`` and return what ``receive(transport, timeout_s)`` reads as its answer.

        ``device`` is named in a PortError or NotConnectedError; what ``receive`` raises goes to the caller as it is.
        """
        async with self._lock:
            if self._users and self._broken:
                await self._ensure_open(device)
            if self._unsettled:
                await asyncio.sleep(self._quiet_s)
            self._unsettled = True
            try:
                await self._transport.discard_input()
                await self._transport.write(request)
                answer = await receive(self._transport, self._timeout_s)
            except PortError as error:
                self._broken = True
                raise PortError(error.message, device=device, port=error.port, asked=request) from error
            except NotConnectedError as error:
                raise NotConnectedError(error.message, device=device, port=error.port, asked=request) from error
            self._unsettled = False
            return answer

    async def _ensure_open(self, device: str) -> None:
        """Open the port; one that went away is closed first."""
        if self._broken:
            await self._transport.close()
        self._broken = True
        try:
            await self._transport.open()
        except PortError as error:
            raise PortError(error.message, device=device, port=error.port) from error
        self._broken = False
