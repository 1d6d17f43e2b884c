"""Bytes and numbers of the Cavro pump protocols (Tecan Cavro XLP 6000 manual 734237-C, chapter 3).

DT framing ``/1ZR<CR>`` is answered ``/0<status>data ETX CR LF`` and guards nothing. OEM framing
``STX address sequence data ETX xor`` carries a checksum, and a sequence number with a repeat flag: a command that is
sent again is acknowledged, not executed again. A pump locks to the first framing it sees until its power is cycled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import reduce
from operator import xor
from typing import Final, Literal

from drivers.errors import ProtocolError
from drivers.transport import Transport

Framing = Literal["OEM", "DT"]
ModelName = Literal["XLP", "XCalibur"]

ERRORS: Final = {
    1: "initialisation failed",
    2: "invalid command",
    3: "invalid operand",
    4: "invalid command sequence",
    6: "EEPROM failure",
    7: "not initialised",
    9: "plunger overload",
    10: "valve overload",
    11: "plunger move not allowed",
    15: "command overflow",
}
NEED_INITIALISING: Final = frozenset({1, 7, 9, 10})
"""Errors after which no plunger moves until the pump is initialised again."""
FINE_INCREMENTS: Final[dict[ModelName, int]] = {"XLP": 48_000, "XCalibur": 24_000}
"""Plunger positions of a full stroke in the fine modes N1 and N2."""
FINE_PULSES: Final = 48_000
"""Speed pulses of a full stroke in mode N2 (assumed: eight to a half-step, and 6000 half-steps to a stroke)."""
FASTEST_PULSES_S: Final = 48_000
FASTEST_ON_THE_FLY_PULSES_S: Final = 8_192
"""Up to 1024 half-steps/s the speed may change while the plunger moves."""
_STX: Final = 0x02
_ETX: Final = 0x03
_MASTER: Final = 0x30
_SYNC: Final = b"\xff"


@dataclass(frozen=True)
class Answer:
    """Status and data of one answer. ``ready`` means something in the answer to ``Q`` only; ``error`` always does."""

    ready: bool
    error: int
    data: str


def address_byte(address: int) -> int:
    """The address switch's position 0 to 14 as it goes over the wire: 0 is ``1``."""
    return 0x31 + address


def encode_dt(address: int, command: str) -> bytes:
    """``/1ZR<CR>``."""
    return b"/%c%b\r" % (address_byte(address), command.encode("ascii"))


def encode_oem(address: int, sequence: int, command: str, *, repeat: bool = False) -> bytes:
    """``STX address sequence data ETX xor``; ``sequence`` is 1 to 7, ``repeat`` marks a resend."""
    stamp = 0x30 | (0x08 if repeat else 0) | sequence
    body = bytes((_STX, address_byte(address), stamp)) + command.encode("ascii") + bytes((_ETX,))
    return body + bytes((checksum(body),))


def checksum(data: bytes) -> int:
    """All bytes from STX to ETX, exclusive-or."""
    return reduce(xor, data, 0)


async def receive_dt(transport: Transport, timeout_s: float) -> bytes:
    """One whole DT answer."""
    return await transport.read_until(b"\x03\r\n", timeout_s)


async def receive_oem(transport: Transport, timeout_s: float) -> bytes:
    """One whole OEM answer with its checksum."""
    body = await transport.read_until(bytes((_ETX,)), timeout_s)
    return body + await transport.read_exactly(1, timeout_s)


def parse_dt(frame: bytes) -> Answer:
    """Take a DT answer apart. Raises ProtocolError on anything else."""
    body = frame.lstrip(_SYNC)
    if len(body) < 6 or body[:1] != b"/" or body[-3:] != b"\x03\r\n":
        raise ProtocolError("the answer is not framed /0...ETX CR LF", answered=frame)
    return _parse(body[1:-3], frame)


def parse_oem(frame: bytes) -> Answer:
    """Take an OEM answer apart. Raises ProtocolError on anything else."""
    body = frame.lstrip(_SYNC)
    if len(body) < 5 or body[0] != _STX or body[-2] != _ETX:
        raise ProtocolError("the answer is not framed STX 0...ETX checksum", answered=frame)
    if checksum(body[:-1]) != body[-1]:
        raise ProtocolError("the answer's checksum is wrong", answered=frame)
    return _parse(body[1:-2], frame)


def _parse(body: bytes, frame: bytes) -> Answer:
    if body[0] != _MASTER:
        raise ProtocolError("the answer is not addressed to the host", answered=frame)
    status = body[1]
    if status & 0xD0 != 0x40:
        raise ProtocolError(f"0x{status:02x} is no status byte", answered=frame)
    try:
        data = body[2:].decode("ascii")
    except UnicodeDecodeError:
        raise ProtocolError("the answer is not ASCII", answered=frame) from None
    return Answer(bool(status & 0x20), status & 0x0F, data)


def parse_number(text: str) -> int:
    """A reported position or speed."""
    if re.fullmatch(r"[0-9]{1,6}", text) is None:
        raise ProtocolError("not a number", answered=text)
    return int(text)
