"""Wires in memory: a driver's transport on one side, a twin on the other, and the latency of a serial line between.

A twin of a stream device is a :class:`StreamTwin`. It is attached to the loop whose time it lives in and to whatever
takes its bytes: a link in memory here, a socket or pty in :mod:`simulators.serve`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol, runtime_checkable

from drivers.transport import PortError, WireTimeoutError

BITS_PER_BYTE = 10
"""8N1: start, eight data bits, stop."""


class Timer(Protocol):
    """A scheduled call."""

    def cancel(self) -> None: ...


class Loop(Protocol):
    """The part of an asyncio loop that a twin lives by."""

    def time(self) -> float: ...

    def call_at(self, when: float, callback: Callable[..., object], *args: object) -> Timer: ...

    def call_later(self, delay: float, callback: Callable[..., object], *args: object) -> Timer: ...


Emit = Callable[[bytes], None]


class StreamTwin(Protocol):
    """A device at the end of a byte stream."""

    def attach(self, loop: Loop, emit: Emit) -> None:
        """Power up, or take over from an earlier link: answers and unasked bytes go to ``emit`` from now on."""
        ...

    def receive(self, data: bytes) -> None:
        """Bytes from the host, in whatever pieces they come."""
        ...


class Gate(Protocol):
    """A port that can go away under whoever has it open; see :class:`simulators.wire_faults.WireFaults`."""

    @property
    def lost(self) -> bool: ...

    def watch(self, went_away: Callable[[], None]) -> None: ...


class MemoryTransport:
    """A :class:`drivers.transport.Transport` that ends in a twin.

    Bytes take the time that ``baud_rate`` gives them, and the twin thinks for ``turnaround_s`` before it answers.
    ``gate`` can take the port away.
    """

    def __init__(
        self,
        twin: StreamTwin,
        *,
        name: str = "memory",
        baud_rate: int = 19200,
        turnaround_s: float = 0.002,
        gate: Gate | None = None,
    ) -> None:
        if baud_rate <= 0 or turnaround_s < 0:
            raise ValueError(f"baud rate {baud_rate} and turnaround {turnaround_s} s must be positive")
        self._twin = twin
        self._name = name
        self._byte_s = BITS_PER_BYTE / baud_rate
        self._turnaround_s = turnaround_s
        self._loop: asyncio.AbstractEventLoop | None = None
        self._on_the_way: deque[tuple[float, bytes]] = deque()
        self._buffer = b""
        self._waiting: asyncio.Future[None] | None = None
        self._gate = gate
        if gate is not None:
            gate.watch(self._went_away)

    @property
    def name(self) -> str:
        return self._name

    async def open(self) -> None:
        if self._gate is not None and self._gate.lost:
            raise PortError("the port cannot be opened", port=self._name)
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._twin.attach(self._loop, self._emitted)

    async def write(self, data: bytes) -> None:
        self._opened()
        await asyncio.sleep(len(data) * self._byte_s)
        self._twin.receive(data)

    async def read_until(self, terminator: bytes, timeout_s: float) -> bytes:
        def find() -> int:
            at = self._buffer.find(terminator)
            return at + len(terminator) if at >= 0 else 0

        return await self._read(find, timeout_s)

    async def read_exactly(self, n: int, timeout_s: float) -> bytes:
        return await self._read(lambda: n if len(self._buffer) >= n else 0, timeout_s)

    async def discard_input(self) -> None:
        self._take(self._opened().time())
        self._buffer = b""

    async def close(self) -> None:
        if self._loop is not None:
            self._loop = None
            self._on_the_way.clear()
            self._buffer = b""

    def _went_away(self) -> None:
        self._loop = None
        self._on_the_way.clear()
        self._buffer = b""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _opened(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise PortError("the port is not open", port=self._name)
        return self._loop

    def _emitted(self, data: bytes) -> None:
        if self._loop is None or not data:
            return
        begin_s = self._loop.time() + self._turnaround_s
        if self._on_the_way:
            begin_s = max(begin_s, self._on_the_way[-1][0])
        self._on_the_way.append((begin_s + len(data) * self._byte_s, data))
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _take(self, now_s: float) -> None:
        """Move what has arrived into the buffer; the margin is for sums of floats."""
        while self._on_the_way and self._on_the_way[0][0] <= now_s + 1e-9:
            self._buffer += self._on_the_way.popleft()[1]

    async def _read(self, complete: Callable[[], int], timeout_s: float) -> bytes:
        loop = self._opened()
        deadline_s = loop.time() + timeout_s
        while True:
            self._opened()
            now_s = loop.time()
            self._take(now_s)
            if length := complete():
                data, self._buffer = self._buffer[:length], self._buffer[length:]
                return data
            if now_s >= deadline_s - 1e-9:
                raise WireTimeoutError(
                    f"no complete answer within {timeout_s:g} s", port=self._name, answered=self._buffer
                )
            if self._on_the_way:
                await asyncio.sleep(min(self._on_the_way[0][0], deadline_s) - now_s)
                continue
            self._waiting = loop.create_future()
            try:
                await asyncio.wait([self._waiting], timeout=deadline_s - now_s)
            finally:
                self._waiting = None


@runtime_checkable
class _Receiver(Protocol):
    """What an asyncio protocol for streams does with bytes."""

    def data_received(self, data: bytes) -> None: ...

    def connection_lost(self, exc: Exception | None) -> None: ...


class _MemoryModbus(asyncio.Transport):
    """An asyncio transport between pymodbus's protocol and a twin's port."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: _Receiver,
        twin: StreamTwin,
        byte_s: float,
        turnaround_s: float,
        gate: Gate | None,
    ) -> None:
        super().__init__()
        self._loop = loop
        self._protocol = protocol
        self._twin = twin
        self._byte_s = byte_s
        self._turnaround_s = turnaround_s
        self._closed = False
        if gate is not None:
            gate.watch(self._went_away)
        twin.attach(loop, self._emitted)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        sent = bytes(data)
        self._loop.call_later(len(sent) * self._byte_s, self._twin.receive, sent)

    def close(self) -> None:
        self._closed = True

    def abort(self) -> None:
        self.close()

    def is_closing(self) -> bool:
        return self._closed

    def _went_away(self) -> None:
        if not self._closed:
            self._closed = True
            self._protocol.connection_lost(OSError("the port went away"))

    def _emitted(self, data: bytes) -> None:
        self._loop.call_later(self._turnaround_s + len(data) * self._byte_s, self._deliver, data)

    def _deliver(self, data: bytes) -> None:
        if not self._closed:
            self._protocol.data_received(data)


def memory_modbus_connect(
    twin: StreamTwin, *, baud_rate: int | None = 9600, turnaround_s: float = 0.005, gate: Gate | None = None
) -> Callable[[Callable[[], asyncio.BaseProtocol]], Awaitable[tuple[asyncio.Transport, asyncio.BaseProtocol]]]:
    """What ``ModbusBus(connect=...)`` takes: pymodbus's own framing and time-outs, with a twin at the other end.

    ``baud_rate`` None is a network: bytes take no time, only ``turnaround_s`` passes.
    ``gate`` can take the port away.
    """
    byte_s = BITS_PER_BYTE / baud_rate if baud_rate else 0.0

    async def connect(
        make_protocol: Callable[[], asyncio.BaseProtocol],
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        if gate is not None and gate.lost:
            raise OSError("the port cannot be opened")
        protocol = make_protocol()
        if not isinstance(protocol, _Receiver):
            raise TypeError(f"{type(protocol).__name__} does not take a stream of bytes")
        transport = _MemoryModbus(asyncio.get_running_loop(), protocol, twin, byte_s, turnaround_s, gate)
        protocol.connection_made(transport)
        return transport, protocol

    return connect
