"""New Era syringe pumps on the wire: one chain of pumps behind one byte stream (NE-1000 user manual 1200-01)."""

from __future__ import annotations

import binascii
import re
from collections.abc import Mapping
from typing import Final

from simulators.byte_twin import ByteTwin
from simulators.links import Emit, Loop
from simulators.plant import PumpPlant
from simulators.wire_new_era_pump import PumpMemory, PumpTwin

__all__ = ["NewEraTwin", "PumpMemory"]

_STX: Final = 0x02
_ETX: Final = 0x03
_CR: Final = 0x0D
_INTER_BYTE_S: Final = 0.5
_LONGEST_COMMAND: Final = 80
_IGNORED: Final = bytes(byte for byte in range(256) if not 0x20 < byte < 0x7F)
_ADDRESS: Final = re.compile(r"\d{1,2}")


class NewEraTwin(ByteTwin):
    """Pumps chained on one serial line, by address.

    A pump answers only what carries its address (none means 0). In basic mode it takes ``COMMAND<CR>`` and, because
    that is how a host finds out, framed packets; in safe mode framed packets only.

    Args:
        pumps: the mechanics of each pump, by address 0 to 99.
        memories: what their non-volatile memories hold, by address; factory settings where absent.
        version: the answer to ``VER``.
    """

    def __init__(
        self,
        pumps: Mapping[int, PumpPlant],
        *,
        memories: Mapping[int, PumpMemory] | None = None,
        version: str = "NE1000V3.928",
    ) -> None:
        if not pumps or not all(0 <= address <= 99 for address in pumps):
            raise ValueError(f"a chain needs pumps at addresses 0 to 99, not {sorted(pumps)}")
        super().__init__()
        given = memories or {}
        self._pumps = [
            PumpTwin(address, plant, given.get(address) or PumpMemory(), version, self._pushed)
            for address, plant in pumps.items()
        ]
        self._last_byte_s = 0.0

    def attach(self, loop: Loop, emit: Emit) -> None:
        """Power up at the first link, with ``A?R`` pending; a later link finds the pumps as they are."""
        super().attach(loop, emit)
        for pump in self._pumps:
            pump.attach(loop)

    def power_cycle(self, address: int) -> None:
        """A blip of one pump's supply."""
        for pump in self._pumps:
            if pump.address == address:
                pump.power_cycle()

    def receive(self, data: bytes) -> None:
        if self._buffer and self._loop.time() - self._last_byte_s > _INTER_BYTE_S and self._buffer[0] == _STX:
            self._buffer.clear()
        super().receive(data)

    def _take(self) -> None:
        self._last_byte_s = self._loop.time()
        while self._take_packet():
            pass

    def _take_packet(self) -> bool:
        """Take one packet off the buffer; False when there is no whole one."""
        buffer = self._buffer
        if not buffer:
            return False
        if buffer[0] == _STX:
            if len(buffer) < 2:
                return False
            length = buffer[1]
            if length < 4:
                del buffer[:2]
                return True
            if len(buffer) < length + 1:
                return False
            packet = bytes(buffer[2 : length + 1])
            del buffer[: length + 1]
            data, crc = packet[:-3], int.from_bytes(packet[-3:-1], "big")
            self._handle(data, framed=True, sound=packet[-1] == _ETX and binascii.crc_hqx(data, 0) == crc)
            return True
        end = buffer.find(_CR)
        start = buffer.find(_STX)
        if start > 0 and (end < 0 or start < end):
            del buffer[:start]
            return True
        if end < 0:
            if len(buffer) > _LONGEST_COMMAND:
                buffer.clear()
            return False
        data = bytes(buffer[:end])
        del buffer[: end + 1]
        self._handle(data, framed=False, sound=True)
        return True

    def _handle(self, data: bytes, *, framed: bool, sound: bool) -> None:
        """Give a packet to the pump it names. Spaces and control characters are stripped, letters upper-cased."""
        text = data.translate(None, _IGNORED).decode("ascii").upper()
        match = _ADDRESS.match(text)
        address = int(match[0]) if match else 0
        command = text[match.end() :] if match else text
        for pump in self._pumps:
            if pump.address == address and (framed or not pump.safe):
                answer = pump.answer(command) if sound else f"{pump.prompt}?COM"
                self._send(pump, answer)
                return

    def _pushed(self, pump: PumpTwin) -> None:
        """An alarm goes out unasked, and stays pending: nobody has acknowledged it."""
        if pump.alarm is not None:
            self._send(pump, f"A?{pump.alarm}")

    def _send(self, pump: PumpTwin, answer: str) -> None:
        data = f"{pump.address:02d}{answer}".encode("ascii")
        if pump.safe:
            crc = binascii.crc_hqx(data, 0).to_bytes(2, "big")
            frame = bytes((_STX, len(data) + 4)) + data + crc + bytes((_ETX,))
        else:
            frame = bytes((_STX,)) + data + bytes((_ETX,))
        self._emit(frame)
