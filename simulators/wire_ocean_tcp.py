"""A network spectrometer on the wire: Ocean Binary Protocol messages over TCP, as an Ocean HDX speaks them."""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from typing import Final

from drivers.transport import BlockingClock
from simulators.links import Emit, Loop
from simulators.ocean_models import LOW_IN
from simulators.wire_ocean import OceanTwin
from simulators.wire_ocean_obp import parse_request

_HEAD_BYTES: Final = 44
_MOST_BYTES: Final = 4096
_LONGEST_S: Final = 60.0
_START: Final = b"\xc1\xc0"


class ObpPort:
    """One connection to a spectrometer that speaks OBP; a :class:`simulators.links.StreamTwin`.

    Messages are answered one after the other; an exposure waits in a worker thread on ``clock``.
    """

    def __init__(self, twin: OceanTwin, clock: BlockingClock) -> None:
        if twin.model.protocol != "OBP":
            raise ValueError(f"a {twin.model.name} does not speak OBP")
        self._twin = twin
        self._clock = clock
        self._emit: Emit | None = None
        self._buffer = b""
        self._waiting: deque[bytes] = deque()
        self._busy: asyncio.Task[None] | None = None

    def attach(self, loop: Loop, emit: Emit) -> None:
        """Take over from an earlier link."""
        self._emit = emit
        self._buffer = b""
        self._waiting.clear()

    def receive(self, data: bytes) -> None:
        if not self._twin.plugged:
            return
        self._buffer += data
        while len(self._buffer) >= _HEAD_BYTES:
            start = self._buffer.find(_START)
            if start:
                self._buffer = self._buffer[start:] if start > 0 else b""
                continue
            remaining = int(struct.unpack_from("<L", self._buffer, _HEAD_BYTES - 4)[0])
            if remaining > _MOST_BYTES:
                self._buffer = b""
                return
            if len(self._buffer) < _HEAD_BYTES + remaining:
                return
            packet, self._buffer = self._buffer[: _HEAD_BYTES + remaining], self._buffer[_HEAD_BYTES + remaining :]
            self._waiting.append(packet)
        if self._waiting and (self._busy is None or self._busy.done()):
            self._busy = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            packet = self._waiting.popleft()
            request = parse_request(packet)
            if request is None:
                continue
            self._twin.write(loop.time(), packet)
            exposes = request.kind == self._twin.model.spectrum
            timeout_s = _LONGEST_S if exposes else 1e-3
            while True:
                answer = await loop.run_in_executor(None, self._twin.read, self._clock, LOW_IN, 1 << 20, timeout_s)
                if answer is None or self._emit is None:
                    break
                self._emit(answer)
                if exposes:
                    break
