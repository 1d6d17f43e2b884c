"""Modbus devices on the wire: RTU and TCP frames, built and taken apart here and not by the library under test.

One :class:`ModbusLine` holds several units. Each link to it gets a port of its own: :class:`RtuPort` for a serial
line, :class:`TcpPort` for one connection. A request for a unit that is not there meets silence.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final, Protocol

from simulators.byte_twin import ByteTwin
from simulators.links import Timer

ILLEGAL_FUNCTION: Final = 1
ILLEGAL_ADDRESS: Final = 2
ILLEGAL_VALUE: Final = 3
_READS: Final = {3: "holding", 4: "input"}
_WRITE_ONE: Final = 6
_WRITE_MANY: Final = 16
_LONGEST_RTU: Final = 256
_RTU_SILENCE_S: Final = 0.05
"""A gap this long ends a frame that makes no sense. A serial line needs 3.5 characters; ptys and sockets stutter."""


class ModbusRefusal(Exception):  # noqa: N818 - not an error: one of the answers of the protocol
    """A unit answers with this exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code = code


class ModbusUnit(Protocol):
    """One device on the line. Registers are 0-based and hold 0 to 65535; both may raise :class:`ModbusRefusal`."""

    def read(self, t_s: float, kind: str, address: int, count: int) -> list[int]:
        """Registers of ``kind`` "holding" or "input"."""
        ...

    def write(self, t_s: float, address: int, values: list[int]) -> None:
        """Write holding registers."""
        ...


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC_TABLE: Final = _crc_table()


def crc16(data: bytes) -> bytes:
    """Modbus CRC-16 (polynomial 0xA001 reflected, seed 0xFFFF), low byte first as on the wire."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC_TABLE[(crc ^ byte) & 0xFF]
    return bytes((crc & 0xFF, crc >> 8))


class ModbusLine:
    """The units of one line, by Modbus address 1 to 247."""

    def __init__(self, units: Mapping[int, ModbusUnit]) -> None:
        if not units or not all(1 <= unit <= 247 for unit in units):
            raise ValueError(f"a Modbus line needs units 1 to 247, not {sorted(units)}")
        self._units = dict(units)

    def answer(self, t_s: float, unit: int, pdu: bytes) -> bytes | None:
        """The answer to one request, or None for silence: an absent unit, or a broadcast (unit 0)."""
        if unit == 0:
            for each in self._units.values():
                self._ask(each, t_s, pdu)
            return None
        target = self._units.get(unit)
        return None if target is None else self._ask(target, t_s, pdu)

    @staticmethod
    def _ask(unit: ModbusUnit, t_s: float, pdu: bytes) -> bytes:
        function = pdu[0]
        try:
            if (kind := _READS.get(function)) is not None and len(pdu) == 5:
                address, count = struct.unpack(">HH", pdu[1:])
                if not 1 <= count <= 125:
                    raise ModbusRefusal(ILLEGAL_VALUE)
                values = unit.read(t_s, kind, address, count)
                return struct.pack(f">BB{count}H", function, 2 * count, *values)
            if function == _WRITE_ONE and len(pdu) == 5:
                address, value = struct.unpack(">HH", pdu[1:])
                unit.write(t_s, address, [value])
                return pdu
            if function == _WRITE_MANY and len(pdu) >= 6:
                address, count, length = struct.unpack(">HHB", pdu[1:6])
                if not 1 <= count <= 123 or length != 2 * count or len(pdu) != 6 + length:
                    raise ModbusRefusal(ILLEGAL_VALUE)
                unit.write(t_s, address, list(struct.unpack(f">{count}H", pdu[6:])))
                return pdu[:5]
            raise ModbusRefusal(ILLEGAL_FUNCTION)
        except ModbusRefusal as refusal:
            return bytes((function | 0x80, refusal.code))


class RtuPort(ByteTwin):
    """The line's serial side."""

    def __init__(self, line: ModbusLine) -> None:
        super().__init__()
        self._line = line
        self._silence: Timer | None = None

    def _take(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        while (length := self._frame_length()) and len(self._buffer) >= length:
            frame = bytes(self._buffer[:length])
            del self._buffer[:length]
            answer = self._line.answer(self._loop.time(), frame[0], frame[1:-2])
            if answer is not None:
                reply = frame[:1] + answer
                self._emit(reply + crc16(reply))
        if self._buffer:
            self._silence = self._loop.call_later(_RTU_SILENCE_S, self._forget)

    def _forget(self) -> None:
        self._silence = None
        self._buffer.clear()

    def _frame_length(self) -> int:
        """Length of the sound request at the head of the buffer; 0 for none yet, or garbage (until the silence)."""
        buffer = bytes(self._buffer)
        if len(buffer) < 4 or len(buffer) > _LONGEST_RTU:
            return 0
        function = buffer[1]
        if function in _READS or function == _WRITE_ONE:
            length = 8
        elif function == _WRITE_MANY:
            length = 9 + buffer[6] if len(buffer) > 6 else 0
        else:
            length = len(buffer)
        if not 4 <= length <= len(buffer) or crc16(buffer[: length - 2]) != buffer[length - 2 : length]:
            return 0
        return length


class TcpPort(ByteTwin):
    """One TCP connection to the line."""

    def __init__(self, line: ModbusLine) -> None:
        super().__init__()
        self._line = line

    def _take(self) -> None:
        while len(self._buffer) >= 8:
            transaction, protocol, length, unit = struct.unpack(">HHHB", self._buffer[:7])
            if protocol != 0 or not 2 <= length <= 254:
                self._buffer.clear()
                return
            if len(self._buffer) < 6 + length:
                return
            pdu = bytes(self._buffer[7 : 6 + length])
            del self._buffer[: 6 + length]
            answer = self._line.answer(self._loop.time(), unit, pdu)
            if answer is not None:
                self._emit(struct.pack(">HHHB", transaction, 0, len(answer) + 1, unit) + answer)
