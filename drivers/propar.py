"""Bytes of Bronkhorst's ProPar protocol in its ASCII form (RS232 interface manual 9.17.027)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from drivers.errors import ProtocolError, RefusedError

Value = int | float | str

STATUS_WORDS: Final = {
    0x01: "process claimed",
    0x02: "command error",
    0x03: "process error",
    0x04: "parameter error",
    0x05: "parameter type error",
    0x06: "parameter value error",
    0x07: "network not active",
    0x0B: "node number error",
    0x0C: "general communication error",
    0x0D: "read-only parameter",
    0x11: "write-only parameter",
    0x19: "time-out of the answer",
    0x22: "protocol error",
}
"""Status messages, manual section 3.6."""
_LINK_WORDS: Final = {3: "protocol error", 4: "protocol error", 5: "node address rejected", 9: "answer timed out"}
"""Messages of one byte, manual section 3.3.3."""
_STATUS, _WRITE, _ANSWER, _READ = 0x00, 0x01, 0x02, 0x04
_FRAME: Final = re.compile(rb":((?:[0-9A-Fa-f]{2})+)\r\n")


class Kind(IntEnum):
    """How a parameter's value is written on the wire."""

    INT8 = 0x00
    INT16 = 0x20
    INT32 = 0x40
    FLOAT = 0x140
    """Four bytes like INT32; the wire does not tell them apart."""
    STRING = 0x60

    @property
    def wire(self) -> int:
        """Type bits on the wire."""
        return self & 0x60


@dataclass(frozen=True)
class Parameter:
    """One parameter of a process; numbers are ProPar's."""

    process: int
    number: int
    kind: Kind


MEASURE: Final = Parameter(1, 0, Kind.INT16)
SET_POINT: Final = Parameter(1, 1, Kind.INT16)
CONTROL_MODE: Final = Parameter(1, 4, Kind.INT8)
CAPACITY: Final = Parameter(1, 13, Kind.FLOAT)
FLUID_NAME: Final = Parameter(1, 17, Kind.STRING)
CAPACITY_UNIT: Final = Parameter(1, 31, Kind.STRING)
TEMPERATURE: Final = Parameter(33, 7, Kind.FLOAT)
SERIAL_NUMBER: Final = Parameter(113, 3, Kind.STRING)


def frame(node: int, message: bytes) -> bytes:
    """``:`` length node message CR LF, each byte as two capital hex digits; the length counts the node."""
    return b":" + bytes((len(message) + 1, node, *message)).hex().upper().encode("ascii") + b"\r\n"


def encode_read(node: int, parameter: Parameter, index: int = 1) -> bytes:
    """Ask for a parameter. ``index``, 0 to 31, comes back with the answer, which shows a late one for what it is."""
    kind = parameter.kind.wire
    request = bytes((_READ, parameter.process, index | kind, parameter.process, parameter.number | kind))
    return frame(node, request + (b"\0" if parameter.kind is Kind.STRING else b""))


def encode_write(node: int, parameter: Parameter, value: int) -> bytes:
    """Write an integer parameter, to be answered with a status."""
    width = {Kind.INT8: 1, Kind.INT16: 2, Kind.INT32: 4}[parameter.kind]
    head = bytes((_WRITE, parameter.process, parameter.number | parameter.kind.wire))
    return frame(node, head + value.to_bytes(width, "big"))


def decode_frame(data: bytes, node: int) -> bytes:
    """The message of one frame from ``node``. Raises ProtocolError: damaged, another node's, or an error message."""
    match = _FRAME.fullmatch(data)
    if match is None:
        raise ProtocolError("the answer is not a frame of hex digits", answered=data)
    body = bytes.fromhex(match[1].decode("ascii"))
    if body[0] != len(body) - 1 or len(body) < 2:
        raise ProtocolError("the answer's length is wrong", answered=data)
    if len(body) == 2:
        raise ProtocolError(_LINK_WORDS.get(body[1], f"general error {body[1]}"), answered=data)
    if body[1] != node:
        raise ProtocolError(f"node {body[1]} answered for node {node}", answered=data)
    return body[2:]


def check_status(message: bytes) -> None:
    """Take the answer to a write. Raises RefusedError with the status in words, ProtocolError on anything else."""
    if len(message) != 3 or message[0] != _STATUS:
        raise ProtocolError("the answer to a write is not a status", answered=message)
    if message[1] != 0:
        raise RefusedError(STATUS_WORDS.get(message[1], f"status {message[1]}"), answered=message)


def decode_value(message: bytes, parameter: Parameter, index: int = 1) -> Value:
    """Value of one parameter. Raises RefusedError for a status, ProtocolError for another parameter's answer."""
    if message[:1] == bytes((_STATUS,)):
        check_status(message)
        raise ProtocolError("a status came in place of a value", answered=message)
    head = bytes((_ANSWER, parameter.process, index | parameter.kind.wire))
    if message[:3] != head:
        raise ProtocolError("the answer is another question's", asked=head.hex(), answered=message)
    data = message[3:]
    if parameter.kind is Kind.STRING:
        return _decode_string(data)
    width = {Kind.INT8: 1, Kind.INT16: 2, Kind.INT32: 4, Kind.FLOAT: 4}[parameter.kind]
    if len(data) != width:
        raise ProtocolError("the value has a wrong length", answered=message)
    if parameter.kind is Kind.FLOAT:
        return float(struct.unpack(">f", data)[0])
    return int.from_bytes(data, "big")


def _decode_string(data: bytes) -> str:
    """A length byte and that many characters, or 0 and a string that ends with a zero byte."""
    if not data:
        raise ProtocolError("the text is missing", answered=data)
    text = data[1:]
    if data[0] == 0:
        if text[-1:] != b"\0" or b"\0" in text[:-1]:
            raise ProtocolError("the text does not end with a zero byte", answered=data)
        text = text[:-1]
    elif len(text) != data[0]:
        raise ProtocolError("the text has a wrong length", answered=data)
    try:
        return text.decode("ascii").rstrip(" \0")
    except UnicodeDecodeError:
        raise ProtocolError("the text is not ASCII", answered=data) from None
