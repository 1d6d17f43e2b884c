"""Bytes and numbers of the New Era pump protocol (NE-1000 user manual 1200-01, chapter 10)."""

from __future__ import annotations

import binascii
import math
import re
from dataclasses import dataclass
from typing import Final, Literal

from drivers.errors import OutOfRangeError, ProtocolError
from drivers.transport import Transport

ALARMS: Final = {
    "R": "power was reset",
    "S": "stalled",
    "T": "communication time-out",
    "E": "program error",
    "O": "phase out of range",
}
ERRORS: Final = {
    "": "the command is not recognised",
    "NA": "not applicable now",
    "OOR": "out of range",
    "COM": "the packet arrived damaged",
    "IGN": "ignored, a new phase was starting",
}
STX: Final = 0x02
ETX: Final = 0x03
_PROMPTS: Final = frozenset("IWSPTUX")
_UL_PER_MIN: Final = {"UM": 1.0, "MM": 1000.0, "UH": 1.0 / 60.0, "MH": 1000.0 / 60.0}
_UL: Final = {"UL": 1.0, "ML": 1000.0}
_NUMBER: Final = re.compile(r"\d+\.?\d*|\.\d+")
_NUMBER_WITH_UNIT: Final = re.compile(r"(\d+\.?\d*|\.\d+)([A-Z]{2})")
_DISPENSED: Final = re.compile(r"I(\d+\.?\d*|\.\d+)W(\d+\.?\d*|\.\d+)([A-Z]{2})")


@dataclass(frozen=True)
class Reply:
    """One answer: the prompt letter (``A`` for an alarm, whose letter is then ``alarm``) and the data after it.

    ``error`` is the text after ``?`` of a refused command: "" (not recognised), NA, OOR, COM or IGN.
    """

    prompt: str
    data: str
    alarm: str | None = None
    error: str | None = None


def encode_basic(address: int, command: str) -> bytes:
    """``[address]COMMAND<CR>``."""
    return f"{address}{command}\r".encode("ascii")


def encode_safe(address: int, command: str) -> bytes:
    """``STX length data CRC-hi CRC-lo ETX``: the length counts itself, the data, the CRC and ETX."""
    data = f"{address}{command}".encode("ascii")
    crc = binascii.crc_hqx(data, 0)
    return bytes((STX, len(data) + 4)) + data + crc.to_bytes(2, "big") + bytes((ETX,))


async def receive_basic(transport: Transport, timeout_s: float) -> bytes:
    """The text between STX and ETX of one basic answer."""
    return unwrap_basic(await transport.read_until(bytes((ETX,)), timeout_s), transport.name)


async def receive_safe(transport: Transport, timeout_s: float) -> bytes:
    """The text of one safe-mode answer, its checksum verified."""
    head = await transport.read_exactly(2, timeout_s)
    if head[0] != STX or head[1] < 4:
        raise ProtocolError("the answer does not begin with STX and a length", port=transport.name, answered=head)
    return unwrap_safe(head + await transport.read_exactly(head[1] - 1, timeout_s), transport.name)


def unwrap_basic(frame: bytes, port: str = "") -> bytes:
    """The text of a basic frame. Raises ProtocolError."""
    if len(frame) < 2 or frame[0] != STX or frame[-1] != ETX:
        raise ProtocolError("the answer does not begin with STX", port=port, answered=frame)
    return frame[1:-1]


def unwrap_safe(frame: bytes, port: str = "") -> bytes:
    """The text of a safe-mode frame. Raises ProtocolError for a wrong length or checksum."""
    data, crc = frame[2:-3], int.from_bytes(frame[-3:-1], "big")
    if len(frame) < 5 or frame[1] != len(frame) - 1 or frame[0] != STX:
        raise ProtocolError("the answer does not begin with STX and a length", port=port, answered=frame)
    if frame[-1] != ETX or binascii.crc_hqx(data, 0) != crc:
        raise ProtocolError("the answer's checksum is wrong", port=port, answered=frame)
    return data


def parse_reply(data: bytes, address: int) -> Reply:
    """Take ``aaS[data]`` apart. Raises ProtocolError on anything else, and on another pump's address."""
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        raise ProtocolError("the answer is not ASCII", answered=data) from None
    if len(text) < 3 or re.fullmatch(r"[0-9]{2}", text[:2]) is None:
        raise ProtocolError("the answer carries no address and prompt", answered=data)
    if int(text[:2]) != address:
        raise ProtocolError(f"pump {int(text[:2])} answered for pump {address}", answered=data)
    prompt, rest = text[2], text[3:]
    if prompt == "A":
        if re.fullmatch(r"\?[A-Z]", rest) is None:
            raise ProtocolError("the alarm is not of the form A?x", answered=data)
        return Reply(prompt, "", alarm=rest[1])
    if prompt not in _PROMPTS:
        raise ProtocolError(f"unknown prompt {prompt!r}", answered=data)
    if rest.startswith("?"):
        return Reply(prompt, "", error=rest[1:])
    return Reply(prompt, rest)


def format_number(value: float, rounding: Literal["nearest", "down", "up"] = "nearest") -> str:
    """At most four digits, at most three of them after the point; nearest, or the next one down or up.

    Raises OutOfRangeError when the number does not fit, or would become zero.
    """
    if math.isfinite(value) and value > 0:
        for decimals in (3, 2, 1, 0):
            scaled = value * 10**decimals
            # The margin keeps a decimal number that binary stores slightly off from becoming the one beside it.
            if rounding == "down":
                whole = math.floor(scaled * (1 + 1e-12))
            else:
                whole = math.ceil(scaled * (1 - 1e-12)) if rounding == "up" else round(scaled)
            if 0 < whole <= 9999:
                return f"{whole / 10**decimals:.{decimals}f}"
    raise OutOfRangeError(f"{value:g} does not fit four digits", low=0.001, high=9999.0, asked=f"{value:g}")


def parse_number(text: str) -> float:
    """``26.59`` -> 26.59. Raises ProtocolError."""
    if _NUMBER.fullmatch(text) is None:
        raise ProtocolError("not a number", answered=text)
    return float(text)


def parse_rate_ul_min(text: str) -> tuple[float, str]:
    """``80.25UM`` -> (80.25 µL/min, "UM")."""
    match = _NUMBER_WITH_UNIT.fullmatch(text)
    if match is None or match[2] not in _UL_PER_MIN:
        raise ProtocolError("not a rate with its unit", answered=text)
    return float(match[1]) * _UL_PER_MIN[match[2]], match[2]


def parse_volume_ul(text: str) -> tuple[float, float]:
    """``1.500ML`` -> (1500 µL, 1000 µL per unit)."""
    match = _NUMBER_WITH_UNIT.fullmatch(text)
    if match is None or match[2] not in _UL:
        raise ProtocolError("not a volume with its unit", answered=text)
    return float(match[1]) * _UL[match[2]], _UL[match[2]]


def parse_dispensed_ul(text: str) -> tuple[float, float]:
    """``I1.234W0.000ML`` -> (infused, withdrawn) in µL."""
    match = _DISPENSED.fullmatch(text)
    if match is None or match[3] not in _UL:
        raise ProtocolError("not a pair of dispensed volumes", answered=text)
    return float(match[1]) * _UL[match[3]], float(match[2]) * _UL[match[3]]


def slowest_ul_min(mechanical_ul_min: float) -> float:
    """The slowest flow from which on every flow is written within 0.5 %, for a plunger that goes down to this one.

    Three decimals of µL/h are that close from 0.1 µL/h on; below twice that, only where the end can itself be written.
    """
    per_h = 60.0 * mechanical_ul_min
    return mechanical_ul_min if per_h >= 0.2 else max(math.ceil(1000.0 * per_h) / 1000.0, 0.1) / 60.0


def choose_rate(
    flow_ul_min: float, keep_unit: str | None = None, *, within_ul_min: tuple[float, float] = (0.0, math.inf)
) -> tuple[str, str]:
    """The digits and unit that come closest to a flow: ("80.25", "UM").

    ``keep_unit`` wins while it is within 0.1 %: units cannot change while the pump runs. Among equals, µL/min wins.
    ``within_ul_min``: what the pump takes; where the nearest digits lie outside it, the next ones inside stand.
    """
    best: tuple[float, str, str] | None = None
    for unit, factor in _UL_PER_MIN.items():
        try:
            digits = format_number(flow_ul_min / factor)
            if float(digits) * factor < within_ul_min[0] * (1 - 1e-9):
                digits = format_number(flow_ul_min / factor, "up")
            elif float(digits) * factor > within_ul_min[1] * (1 + 1e-9):
                digits = format_number(flow_ul_min / factor, "down")
        except OutOfRangeError:
            continue
        error = abs(float(digits) * factor / flow_ul_min - 1.0)
        if unit == keep_unit and error <= 1e-3:
            return digits, unit
        if best is None or error < best[0] - 1e-9:
            best = (error, digits, unit)
    if best is None:
        raise OutOfRangeError("no unit can express this flow", low=0.001 / 60.0, high=9.999e6, asked=flow_ul_min)
    return best[1], best[2]
