"""A Modbus line or socket and everything on it: one exchange at a time, over pymodbus."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal

from drivers.errors import DriverError, PortError, ProtocolError, RefusedError, WireTimeoutError
from drivers.transport import PORT_ERRORS

ProtocolFactory = Callable[[], asyncio.BaseProtocol]
Connect = Callable[[ProtocolFactory], Awaitable[tuple[asyncio.Transport, asyncio.BaseProtocol]]]
"""Takes pymodbus's protocol factory and returns a connected asyncio transport with the protocol it made."""

_NOWHERE: Final = logging.NullHandler()
_EXCEPTIONS: Final = {
    1: "illegal function",
    2: "illegal data address",
    3: "illegal data value",
    4: "device failure",
    5: "acknowledge",
    6: "device busy",
}


@dataclass(frozen=True)
class RtuLink:
    """A serial port, or ``socket://host:port``, with RTU frames on it."""

    port: str
    baud_rate: int = 9600
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1


@dataclass(frozen=True)
class TcpLink:
    """A Modbus TCP server."""

    host: str
    port: int = 502


class ModbusBus:
    """One Modbus line, shared by the devices on it.

    An RTU answer does not say what it answers, so after one late answer a client stays off by one, with valid
    checksums. Therefore: one exchange at a time; a request in flight is never cancelled, even when its caller is; and
    after a time-out the line must have been quiet for ``quiet_s`` before the next request. An RTU request that was
    answered when it was sent again has another answer coming, if the first was late and not lost: after that, and
    wherever an answer came too late, the line must be quiet for as long as one may be late. ``open`` and ``close``
    count their callers.

    Args:
        link: where the line is.
        timeout_s: how long one answer may take.
        quiet_s: silence required after a time-out; longer than the slowest device's latency beyond ``timeout_s``.
        attempts: how often one request is sent before its time-out is raised. Every write here is an absolute value,
            so repeating it is harmless.
        connect: replaces the socket or serial port, for a line in memory.
    """

    def __init__(
        self,
        link: RtuLink | TcpLink,
        *,
        timeout_s: float = 0.5,
        quiet_s: float = 0.5,
        attempts: int = 2,
        connect: Connect | None = None,
    ) -> None:
        if timeout_s <= 0 or quiet_s < 0 or attempts < 1:
            raise ValueError(f"time-out {timeout_s} s, quiet gap {quiet_s} s, attempts {attempts}: must be positive")
        self._link = link
        self._timeout_s = timeout_s
        self._quiet_s = quiet_s
        self._attempts = attempts
        self._connect = connect
        self._client: Any = None
        self._lock = asyncio.Lock()
        self._users = 0
        self._silence_s = 0.0
        self._slow = False
        self._last_byte_s = 0.0

    @property
    def name(self) -> str:
        """The port in words."""
        return self._link.port if isinstance(self._link, RtuLink) else f"{self._link.host}:{self._link.port}"

    async def open(self, device: str = "") -> None:
        """Connect for one more user. ``device`` is named in a PortError."""
        async with self._lock:
            await self._ensure_connected(device)
            self._users += 1

    async def close(self) -> None:
        """One user fewer; the last one closes the port."""
        async with self._lock:
            self._users = max(0, self._users - 1)
            if self._users == 0 and self._client is not None:
                self._client.close()
                self._client = None

    async def read_holding(self, unit: int, address: int, count: int = 1, *, device: str = "") -> list[int]:
        """``count`` holding registers from 0-based ``address``, each 0 to 65535."""
        return await self._registers("read_holding_registers", unit, address, count, device)

    async def read_input(self, unit: int, address: int, count: int = 1, *, device: str = "") -> list[int]:
        """``count`` input registers from 0-based ``address``, each 0 to 65535."""
        return await self._registers("read_input_registers", unit, address, count, device)

    async def write(self, unit: int, address: int, values: Sequence[int], *, device: str = "") -> None:
        """Write holding registers: one value as function 6, several as function 16."""
        asked = f"write unit {unit} register {address} = {list(values)}"

        def request(client: Any) -> Awaitable[Any]:
            if len(values) == 1:
                answer: Awaitable[Any] = client.write_register(address, values[0], device_id=unit)
            else:
                answer = client.write_registers(address, list(values), device_id=unit)
            return answer

        def check(response: Any) -> list[int]:
            echoed = response.address == address and (
                response.registers == list(values) if len(values) == 1 else response.count == len(values)
            )
            if not echoed:
                raise ProtocolError(
                    "the answer does not echo the write", device=device, port=self.name, asked=asked, answered=response
                )
            return []

        await self._shielded(request, check, asked, device)

    async def _registers(
        self,
        function: Literal["read_holding_registers", "read_input_registers"],
        unit: int,
        address: int,
        count: int,
        device: str,
    ) -> list[int]:
        asked = f"read unit {unit} registers {address} to {address + count - 1}"

        def request(client: Any) -> Awaitable[Any]:
            read = (
                client.read_holding_registers if function == "read_holding_registers" else client.read_input_registers
            )
            answer: Awaitable[Any] = read(address, count=count, device_id=unit)
            return answer

        def check(response: Any) -> list[int]:
            registers = [int(value) for value in response.registers]
            if len(registers) != count:
                raise ProtocolError(
                    f"{len(registers)} registers came for {count}",
                    device=device,
                    port=self.name,
                    asked=asked,
                    answered=registers,
                )
            return registers

        return await self._shielded(request, check, asked, device)

    async def _shielded(
        self,
        request: Callable[[Any], Awaitable[Any]],
        check: Callable[[Any], list[int]],
        asked: str,
        device: str,
    ) -> list[int]:
        """A caller may be cancelled; the exchange is not, and holds the line until it is over."""
        exchange = asyncio.get_running_loop().create_task(self._exchange(request, check, asked, device))
        # Its failure belongs to nobody once the caller is gone.
        exchange.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(exchange)

    async def _exchange(
        self,
        request: Callable[[Any], Awaitable[Any]],
        check: Callable[[Any], list[int]],
        asked: str,
        device: str,
    ) -> list[int]:
        from pymodbus.exceptions import ConnectionException, ModbusException

        async with self._lock:
            failure: DriverError | None = None
            for attempt in range(self._attempts):
                await self._settle()
                client = await self._ensure_connected(device)
                self._silence_s = self._long_s if self._slow else self._quiet_s
                try:
                    response = await request(client)
                    if not response.isError():
                        registers = check(response)
                        self._answered(attempt)
                        return registers
                except ConnectionException as error:
                    raise PortError(f"{error}", device=device, port=self.name, asked=asked) from error
                except OSError as error:
                    client.close()
                    self._client = None
                    raise PortError(f"{error}", device=device, port=self.name, asked=asked) from error
                except ModbusException as error:
                    failure = WireTimeoutError(
                        f"no answer within {self._timeout_s:g} s", device=device, port=self.name, asked=asked
                    )
                    failure.__cause__ = error
                    continue
                except ProtocolError as error:
                    failure = error
                    continue
                self._answered(attempt)
                code = int(response.exception_code)
                raise RefusedError(
                    _EXCEPTIONS.get(code, f"exception {code}"),
                    device=device,
                    port=self.name,
                    asked=asked,
                    answered=f"exception {code}",
                )
            assert failure is not None
            raise failure

    @property
    def _long_s(self) -> float:
        """The silence after which no late answer is expected any more; on a socket each bears its request's number."""
        return self._quiet_s if isinstance(self._link, TcpLink) else self._timeout_s + 2.0 * self._quiet_s

    def _answered(self, attempt: int) -> None:
        """An answer came to the request that was sent ``attempt`` times before."""
        self._slow = self._slow and attempt > 0
        self._silence_s = self._long_s if attempt > 0 and not isinstance(self._link, TcpLink) else 0.0

    async def _settle(self) -> None:
        """After a bad exchange, wait until nothing has come for as long as that one requires."""
        if self._silence_s <= 0.0:
            return
        loop = asyncio.get_running_loop()
        began_s = self._last_byte_s = loop.time()
        left_s = self._silence_s
        while left_s > 1e-9:
            await asyncio.sleep(left_s)
            self._slow = self._slow or self._last_byte_s > began_s
            left_s = self._last_byte_s + self._silence_s - loop.time()
        self._silence_s = 0.0

    def _note_bytes(self, sending: bool, data: bytes) -> bytes:
        if not sending:
            self._last_byte_s = asyncio.get_running_loop().time()
        return data

    async def _ensure_connected(self, device: str) -> Any:
        if self._client is not None and self._client.connected:
            return self._client
        if self._connect is None and isinstance(self._link, RtuLink) and not _can_be_waited_on(self._link.port):
            why = "Modbus RTU needs a serial port of this computer, or socket://host:port"
            raise PortError(why, device=device, port=self.name)
        if self._client is None:
            self._client = self._make_client()
        try:
            why = "" if await self._client.connect() else "cannot be opened, or is in use"
        except PORT_ERRORS as error:
            # A port that refuses its settings late stays locked for as long as anybody keeps this error.
            why = f"cannot be opened: {error}"
        if why:
            self._client = None
            raise PortError(why, device=device, port=self.name)
        return self._client

    def _make_client(self) -> Any:
        from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient

        # pymodbus logs what is raised here as an error too; without a handler Python would print it.
        logging.getLogger("pymodbus").addHandler(_NOWHERE)
        client: Any
        if isinstance(self._link, RtuLink):
            client = AsyncModbusSerialClient(
                self._link.port,
                baudrate=self._link.baud_rate,
                parity=self._link.parity,
                stopbits=self._link.stopbits,
                timeout=self._timeout_s,
                retries=0,
                reconnect_delay=0,
                trace_packet=self._note_bytes,
            )
        else:
            client = AsyncModbusTcpClient(
                self._link.host,
                port=self._link.port,
                timeout=self._timeout_s,
                retries=0,
                reconnect_delay=0,
                trace_packet=self._note_bytes,
            )
        if self._connect is not None:
            client.ctx.call_create = partial(self._connect, client.ctx.handle_new_connection)
        return client


def _can_be_waited_on(url: str) -> bool:
    """Whether pyserial gives the loop something to wait on: other URLs have no descriptor (``rfc2217://``)."""
    return "://" not in url or url.startswith(("socket://", "alt://", "hwgrep://", "spy://"))
