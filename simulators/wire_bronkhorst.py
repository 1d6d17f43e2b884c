"""A Bronkhorst mass flow controller on the wire: ProPar in both of its forms (RS232 interface manual 9.17.027).

Like the instrument, the twin answers each message in the form it came in: ``:`` and hex digits, or binary between
DLE STX and DLE ETX with a sequence number, which is what the maker's own package speaks.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from simulators.byte_twin import ByteTwin
from simulators.plant import GasPlant

_DLE, _STX, _ETX = 0x10, 0x02, 0x03
_STATUS, _WRITE, _WRITE_SILENT, _ANSWER, _READ = 0x00, 0x01, 0x02, 0x02, 0x04
_PROCESS_ERROR, _PARAMETER_ERROR, _TYPE_ERROR, _VALUE_ERROR, _READ_ONLY, _COMMAND_ERROR = 3, 4, 5, 6, 0x0D, 2
_PROTOCOL_ERROR = 0x22
_LINK_PROTOCOL_ERROR, _LINK_NODE_REJECTED = 3, 5
_INT8, _INT16, _INT32, _STRING = 0x00, 0x20, 0x40, 0x60
_WIDTH: Final = {_INT8: 1, _INT16: 2, _INT32: 4}
_FULL_SCALE: Final = 32000
_MOST_COUNTS: Final = 41942
_LONGEST: Final = 600
_UNIT: Final = {"mln/min": (1.0, 0.0), "ln/min": (1000.0, 0.0), "mls/min": (1.0, 20.0), "ls/min": (1000.0, 20.0)}
_NORMAL_K: Final = 273.15


class _Refused(Exception):  # noqa: N818 - one of the answers of the protocol
    def __init__(self, status: int, at: int) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.at = at


@dataclass(frozen=True)
class _Entry:
    """A parameter: its type on the wire, how it reads, and how it is written (None: read only)."""

    kind: int
    read: Callable[[float], bytes]
    write: Callable[[float, int], bool] | None = None


class BronkhorstTwin(ByteTwin):
    """One instrument.

    It answers to ``node`` and, as the one at the other end of an RS232 line, to 128. The set-point lives in volatile
    memory. ``control_mode`` other than 0 and 18 takes the set-point from elsewhere: one that is written is forgotten.
    """

    def __init__(
        self,
        plant: GasPlant,
        *,
        node: int = 3,
        capacity: float = 100.0,
        capacity_unit: str = "mln/min",
        fluid: str = "N2",
        serial_number: str = "M6212345A",
        control_mode: int = 0,
    ) -> None:
        if not 1 <= node <= 128 or not capacity > 0:
            raise ValueError(f"node {node} and capacity {capacity} make no instrument")
        super().__init__()
        self._plant = plant
        self._node = node
        self.control_mode = control_mode
        self.set_point = 0
        per_unit_ml, reference_c = _UNIT.get(capacity_unit, (1.0, 0.0))
        self._full_scale_mln_min = capacity * per_unit_ml * _NORMAL_K / (_NORMAL_K + reference_c)
        self._table: dict[tuple[int, int], _Entry] = {
            (0, 0): _Entry(_STRING, lambda t: b"\x06SN" + serial_number.encode("ascii")),
            (0, 1): _Entry(_INT8, lambda t: bytes((node,))),
            (0, 3): _Entry(_INT8, lambda t: b"\0"),
            (0, 18): _Entry(_INT8, lambda t: b"\x01"),
            (1, 0): _Entry(_INT16, self._measure),
            (1, 1): _Entry(_INT16, lambda t: self.set_point.to_bytes(2, "big"), self._command),
            (1, 4): _Entry(_INT8, lambda t: bytes((self.control_mode,)), self._choose_mode),
            (1, 13): _Entry(_INT32, lambda t: struct.pack(">f", capacity)),
            (1, 17): _Entry(_STRING, lambda t: fluid.encode("ascii").ljust(10)),
            (1, 31): _Entry(_STRING, lambda t: capacity_unit.encode("ascii").ljust(7)),
            (33, 7): _Entry(_INT32, lambda t: struct.pack(">f", plant.temperature_c(t))),
            (113, 1): _Entry(_STRING, lambda t: b"DMFC"),
            (113, 3): _Entry(_STRING, lambda t: serial_number.encode("ascii")),
        }

    def _take(self) -> None:
        while self._buffer and self._take_message():
            pass

    # ---- framing --------------------------------------------------------------------------------------------------

    def _take_message(self) -> bool:
        """Take one message, or one byte of noise, off the buffer; False when there is no whole one."""
        buffer = self._buffer
        if buffer[0] == ord(":"):
            end = buffer.find(b"\n")
            if end < 0:
                if len(buffer) > _LONGEST:
                    buffer.clear()
                return False
            line = bytes(buffer[: end + 1])
            del buffer[: end + 1]
            self._ascii(line)
            return True
        if buffer[0] == _DLE:
            return self._take_binary()
        del buffer[0]
        return True

    def _ascii(self, line: bytes) -> None:
        match = re.fullmatch(rb":((?:[0-9A-Fa-f]{2}){2,})\r?\n", line)
        body = bytes.fromhex(match[1].decode("ascii")) if match else b""
        if len(body) < 3 or body[0] != len(body) - 1:
            self._emit(b":01%02X\r\n" % _LINK_PROTOCOL_ERROR)
        elif body[1] not in {self._node, 0x80}:
            self._emit(b":01%02X\r\n" % _LINK_NODE_REJECTED)
        elif (answer := self._answer(body[2:])) is not None:
            self._emit(b":" + bytes((len(answer) + 1, body[1], *answer)).hex().upper().encode("ascii") + b"\r\n")

    def _take_binary(self) -> bool:
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        if buffer[1] != _STX:
            del buffer[0]
            return True
        body = bytearray()
        at = 2
        while at < len(buffer):
            if buffer[at] != _DLE:
                body.append(buffer[at])
                at += 1
                continue
            if at + 1 == len(buffer):
                return False
            if buffer[at + 1] == _DLE:
                body.append(_DLE)
                at += 2
                continue
            sound = buffer[at + 1] == _ETX
            del buffer[: at + 2]
            if sound and len(body) >= 4 and body[2] == len(body) - 3 and body[1] in {self._node, 0x80}:
                answer = self._answer(bytes(body[3:]))
                if answer is not None:
                    self._emit(_binary(body[0], body[1], answer))
            return True
        if len(buffer) > _LONGEST:
            buffer.clear()
        return False

    # ---- messages -------------------------------------------------------------------------------------------------

    def _answer(self, message: bytes) -> bytes | None:
        t_s = self._loop.time()
        try:
            if message[0] == _READ:
                return self._read(t_s, message)
            if message[0] in {_WRITE, _WRITE_SILENT}:
                end = self._write(t_s, message)
                return bytes((_STATUS, 0, end)) if message[0] == _WRITE else None
            raise _Refused(_COMMAND_ERROR, 0)
        except _Refused as refusal:
            return bytes((_STATUS, refusal.status, refusal.at))
        except IndexError:
            return bytes((_STATUS, _PROTOCOL_ERROR, len(message)))

    def _read(self, t_s: float, message: bytes) -> bytes:
        """Answer a chain of questions: the process byte, then type and index, and process and number, of each."""
        answer = bytearray((_ANSWER,))
        at = 1
        more_processes = True
        while more_processes:
            more_processes = bool(message[at] & 0x80)
            answer.append(message[at])
            at += 1
            more = True
            while more:
                head = message[at]
                more = bool(head & 0x80)
                process, number = message[at + 1] & 0x7F, message[at + 2]
                kind = head & 0x60
                entry = self._entry(process, number & 0x1F, at)
                if kind != entry.kind or number & 0x60 != kind:
                    raise _Refused(_TYPE_ERROR, at)
                answer.append(head)
                value = entry.read(t_s)
                at += 3
                if kind == _STRING:
                    asked = message[at]
                    at += 1
                    answer += bytes((asked,)) + (value[:asked].ljust(asked) if asked else value + b"\0")
                else:
                    answer += value
        return bytes(answer)

    def _write(self, t_s: float, message: bytes) -> int:
        """Carry out a chain of writes; returns where the message ended, which the manual's examples report back."""
        at = 1
        more_processes = True
        while more_processes:
            process = message[at] & 0x7F
            more_processes = bool(message[at] & 0x80)
            at += 1
            more = True
            while more:
                head = message[at]
                more = bool(head & 0x80)
                entry = self._entry(process, head & 0x1F, at)
                if head & 0x60 != entry.kind:
                    raise _Refused(_TYPE_ERROR, at)
                if entry.write is None or entry.kind == _STRING:
                    raise _Refused(_READ_ONLY, at)
                width = _WIDTH[entry.kind]
                data = message[at + 1 : at + 1 + width]
                if len(data) < width:
                    raise _Refused(_VALUE_ERROR, at)
                if not entry.write(t_s, int.from_bytes(data, "big")):
                    raise _Refused(_VALUE_ERROR, at)
                at += 1 + width
        return at

    def _entry(self, process: int, number: int, at: int) -> _Entry:
        entry = self._table.get((process, number))
        if entry is None:
            known = any(known == process for known, _ in self._table)
            raise _Refused(_PARAMETER_ERROR if known else _PROCESS_ERROR, at)
        return entry

    # ---- what the parameters do -----------------------------------------------------------------------------------

    def _measure(self, t_s: float) -> bytes:
        counts = round(self._plant.flow_mln_min(t_s) / self._full_scale_mln_min * _FULL_SCALE)
        return (max(-23593, min(_MOST_COUNTS, counts)) & 0xFFFF).to_bytes(2, "big")

    def _command(self, t_s: float, counts: int) -> bool:
        if counts > _FULL_SCALE:
            return False
        if self.control_mode in {0, 18}:
            self.set_point = counts
            self._plant.command(t_s, counts / _FULL_SCALE * self._full_scale_mln_min)
        return True

    def _choose_mode(self, t_s: float, mode: int) -> bool:
        self.control_mode = mode
        return True


def _binary(sequence: int, node: int, answer: bytes) -> bytes:
    """A binary message: DLE STX, then sequence, node, length and data with each DLE doubled, DLE ETX."""
    body = bytes((sequence, node, len(answer))) + answer
    return bytes((_DLE, _STX)) + body.replace(b"\x10", b"\x10\x10") + bytes((_DLE, _ETX))
