"""Messages of the Ocean Binary Protocol, from the device's end (STS and QE Pro data sheets)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

GET_SERIAL, GET_SERIAL_LENGTH = 0x00000100, 0x00000101
SET_INTEGRATION, SET_TRIGGER, SET_LAMP = 0x00110010, 0x00110110, 0x00110410
GET_WAVELENGTH_COUNT, GET_WAVELENGTH = 0x00180100, 0x00180101
GET_NONLINEARITY_COUNT, GET_NONLINEARITY = 0x00181100, 0x00181101
UNKNOWN_TYPE, WRONG_LENGTH, INVALID_DATA = 2, 5, 6
_HEAD: Final = struct.Struct("<HHHHLL6sBB16sL")
_FOOT: Final = struct.Struct("<16sL")
_START, _VERSION, _FOOTER = 0xC0C1, 0x1100, 0xC2C3C4C5
_RESPONSE, _ACK, _WANTS_ACK, _NACK = 0x0001, 0x0002, 0x0004, 0x0008


@dataclass(frozen=True)
class ObpRequest:
    """A request of the host: its message type, its data, and whether it wants an acknowledgement."""

    kind: int
    data: bytes
    wants_ack: bool


def parse_request(packet: bytes) -> ObpRequest | None:
    """One message, or None for anything that is none: the device ignores it."""
    if len(packet) < _HEAD.size + _FOOT.size:
        return None
    start, version, flags, _, kind, _, _, _, immediate, inline, remaining = _HEAD.unpack_from(packet)
    payload = packet[_HEAD.size : -_FOOT.size]
    if start != _START or version != _VERSION or remaining != len(payload) + _FOOT.size or immediate > 16:
        return None
    if _FOOT.unpack_from(packet, len(packet) - _FOOT.size)[1] != _FOOTER:
        return None
    return ObpRequest(kind, payload or inline[:immediate], bool(flags & _WANTS_ACK))


def response(kind: int, data: bytes) -> bytes:
    """The answer to a question; up to 16 bytes travel in the header."""
    return _message(kind, _RESPONSE, 0, data)


def acknowledgement(kind: int) -> bytes:
    """A command was carried out."""
    return _message(kind, _RESPONSE | _ACK, 0, b"")


def refusal(kind: int, error: int) -> bytes:
    """A request was not carried out."""
    return _message(kind, _RESPONSE | _NACK, error, b"")


def _message(kind: int, flags: int, error: int, data: bytes) -> bytes:
    inline, payload = (data, b"") if len(data) <= 16 else (b"", data)
    head = _HEAD.pack(_START, _VERSION, flags, error, kind, 0, b"", 0, len(inline), inline, len(payload) + _FOOT.size)
    return head + payload + _FOOT.pack(b"", _FOOTER)
