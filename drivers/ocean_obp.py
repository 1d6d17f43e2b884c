"""The few messages of the Ocean Binary Protocol that seabreeze does not send, or whose refusal it swallows.

Layout and message types: STS and QE Pro data sheets, as in seabreeze's own ``protocol.py``.
"""

from __future__ import annotations

import struct
from typing import Final

from drivers.errors import ProtocolError, RefusedError

SET_INTEGRATION_US: Final = 0x00110010
SET_LAMP_ENABLE: Final = 0x00110410
ANSWER_BYTES: Final = 64
_HEAD: Final = struct.Struct("<HHHHLL6sBB16sL")
_FOOT: Final = struct.Struct("<16sL")
_START, _VERSION, _FOOTER = 0xC0C1, 0x1100, 0xC2C3C4C5
_ACK, _WANTS_ACK, _NACK, _HARDWARE = 0x0002, 0x0004, 0x0008, 0x0010
_ERRORS: Final = {
    2: "unknown message type",
    3: "bad checksum",
    5: "payload length does not match the message type",
    6: "payload data invalid",
    7: "device not ready",
    12: "the desired information does not exist",
}


def encode_command(kind: int, data: bytes) -> bytes:
    """A command with at most 16 bytes of data that asks to be acknowledged."""
    if len(data) > 16:
        raise ValueError(f"a short command carries 16 bytes at most, not {len(data)}")
    head = _HEAD.pack(_START, _VERSION, _WANTS_ACK, 0, kind, 0, b"", 0, len(data), data, _FOOT.size)
    return head + _FOOT.pack(b"", _FOOTER)


def check_acknowledged(answer: bytes, kind: int) -> None:
    """Raises RefusedError with the device's reason, ProtocolError for anything but an acknowledgement of ``kind``."""
    if len(answer) != ANSWER_BYTES:
        raise ProtocolError(f"an acknowledgement has {ANSWER_BYTES} bytes", answered=answer)
    start, version, flags, error, answered_kind, *_ = _HEAD.unpack_from(answer)
    if start != _START or version != _VERSION or _FOOT.unpack_from(answer, _HEAD.size)[1] != _FOOTER:
        raise ProtocolError("the answer is no message of this protocol", answered=answer)
    if answered_kind != kind:
        raise ProtocolError("the answer is another message's", asked=f"{kind:#010x}", answered=f"{answered_kind:#010x}")
    if flags & (_NACK | _HARDWARE):
        raise RefusedError(_ERRORS.get(error, f"error {error}"), asked=f"{kind:#010x}", answered=f"error {error}")
    if not flags & _ACK:
        raise ProtocolError("the command was not acknowledged", asked=f"{kind:#010x}", answered=f"flags {flags:#06x}")
