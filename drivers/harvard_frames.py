"""Bytes and numbers of the Harvard Apparatus pump-chain protocol (PHD Ultra user guide 5419-002).

A request is ``[address:]command<CR>``. An answer is any number of text lines ``<LF>[nn:]text<CR>`` and then the prompt
``<LF>[nn]prompt``, which nothing ends: an idle addressed prompt ``<LF>12:`` looks like the beginning of a text line,
and only silence tells them apart.

Assumed (the guide's list of commands does not say, other people's clients do): a pump at an address above 0 begins
every line with two digits; a pump at 0 may or may not. Numbers are taken with five significant digits.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Final, Literal

from drivers.errors import OutOfRangeError, ProtocolError, WireTimeoutError
from drivers.transport import Transport

ERRORS: Final = ("Command error", "Unknown command", "Argument error", "Out of range")
GAP_S: Final = 0.05
"""Silence that ends an idle prompt: longer than a USB adapter holds bytes back (16 ms)."""
_MOST_LINES: Final = 64
_FL_PER_UL: Final = 1e9
_UL: Final = {"pl": 1e-6, "nl": 1e-3, "ul": 1.0, "ml": 1e3}
_PER_MIN: Final = {"sec": 60.0, "s": 60.0, "min": 1.0, "m": 1.0, "hr": 1 / 60.0, "h": 1 / 60.0}
_NUMBER: Final = r"(\d+\.?\d*|\.\d+)"
_RATE: Final = re.compile(_NUMBER + r" ?([pnum]l)/(sec|s|min|m|hr|h)", re.IGNORECASE)
_VOLUME: Final = re.compile(_NUMBER + r" ?([pnum]l)", re.IGNORECASE)
_DIAMETER: Final = re.compile(_NUMBER + r" ?mm", re.IGNORECASE)
_STATUS: Final = re.compile(r"(\d{1,18}) (\d{1,18}) (\d{1,18}) ([iIwW])([IW.])([S.])([T.])([IW])")


@dataclass(frozen=True)
class Reply:
    """The prompt (``:`` idle, ``>`` infusing, ``<`` withdrawing, ``*`` stalled, ``T*`` target reached) and the text."""

    prompt: str
    lines: tuple[str, ...]

    @property
    def error(self) -> str | None:
        """The pump's words when it refused the command."""
        if any(error in line for line in self.lines for error in ERRORS):
            return ", ".join(line.strip() for line in self.lines)
        return None


@dataclass(frozen=True)
class RawStatus:
    """The answer to ``status``; flow and volume are those of the motor's direction.

    ``limit`` is "infuse" or "withdraw" when that limit switch was hit, else None.
    """

    flow_ul_min: float
    duration_s: int
    volume_ul: float
    withdrawing: bool
    limit: str | None
    stalled: bool


def encode(address: int, command: str) -> bytes:
    """``12:irate 3.2 ul/min<CR>``; a pump at address 0 is spoken to without one."""
    return f"{f'{address}:' if address else ''}{command}\r".encode("ascii")


async def receive(transport: Transport, timeout_s: float, address: int, gap_s: float = GAP_S) -> bytes:
    """One whole answer of the pump at ``address``."""
    answer = bytearray()
    try:
        for _ in range(_MOST_LINES):
            if await _line_is_the_prompt(transport, timeout_s, gap_s, f"{address:02d}".encode("ascii"), answer):
                return bytes(answer)
            if not answer.endswith(b"\r"):
                answer += await transport.read_until(b"\r", timeout_s)
    except WireTimeoutError as error:
        raise WireTimeoutError(error.message, port=transport.name, answered=bytes(answer)) from None
    raise ProtocolError("the answer does not end", port=transport.name, answered=bytes(answer))


async def _line_is_the_prompt(
    transport: Transport, timeout_s: float, gap_s: float, prefix: bytes, answer: bytearray
) -> bool:
    """Read a line's first bytes onto ``answer``; whether they are the prompt, and the answer thereby whole."""
    answer += (head := await transport.read_exactly(2, timeout_s))
    if head[:1] != b"\n":
        raise ProtocolError("the answer does not begin with LF", port=transport.name, answered=bytes(answer))
    mark = head[1:]
    addressed = False
    if mark.isdigit():
        answer += (more := await transport.read_exactly(2, timeout_s))
        addressed = mark + more[:1] == prefix
        mark = more[1:] if addressed else b""
    if mark in (b">", b"<", b"*") or (mark == b":" and not addressed):
        return True
    if mark == b"T":
        answer += (star := await transport.read_exactly(1, timeout_s))
        return star == b"*"
    if mark == b":":
        try:
            answer += await transport.read_exactly(1, gap_s)
        except WireTimeoutError:
            return True
    return False


def parse_reply(data: bytes, address: int) -> Reply:
    """Take an answer apart. Raises ProtocolError on anything else, and on another pump's address."""
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError:
        raise ProtocolError("the answer is not ASCII", answered=data) from None
    if not text.startswith("\n"):
        raise ProtocolError("the answer does not begin with LF", answered=data)
    *lines, prompt = text[1:].split("\r\n")
    if "\r" in prompt or "\n" in prompt or any("\r" in line or "\n" in line for line in lines):
        raise ProtocolError("the answer's lines do not end with CR LF", answered=data)
    match = re.fullmatch(r"([0-9]{2})?(:|>|<|\*|T\*)", prompt)
    if match is None:
        raise ProtocolError("the answer does not end with a prompt", answered=data)
    if (match[1] is None and address) or (match[1] is not None and int(match[1]) != address):
        raise ProtocolError(f"the prompt is not that of pump {address}", answered=data)
    if match[1] is not None:
        if any(line[:3] != f"{match[1]}:" for line in lines):
            raise ProtocolError(f"a line is not that of pump {address}", answered=data)
        lines = [line[3:] for line in lines]
    return Reply(match[2], tuple(lines))


def parse_status(text: str) -> RawStatus:
    """``16666666 12 200000000 i...I`` -> 1 µL/min, 12 s, 0.2 µL, infusing, no limit, no stall."""
    match = _STATUS.fullmatch(text.strip())
    if match is None:
        raise ProtocolError("not a status of three integers and five flags", answered=text)
    return RawStatus(
        flow_ul_min=int(match[1]) * 60.0 / _FL_PER_UL,
        duration_s=int(match[2]),
        volume_ul=int(match[3]) / _FL_PER_UL,
        withdrawing=match[4] in "wW",
        limit={"I": "infuse", "W": "withdraw", ".": None}[match[5]],
        stalled=match[6] == "S",
    )


def parse_rate_ul_min(text: str) -> float:
    """``80.25 ul/min`` -> 80.25."""
    match = _RATE.fullmatch(text.strip())
    if match is None:
        raise ProtocolError("not a rate with its unit", answered=text)
    return float(match[1]) * _UL[match[2].lower()] * _PER_MIN[match[3].lower()]


def parse_rate_limits_ul_min(text: str) -> tuple[float, float]:
    """``24.9996 nl/min to 26.0035 ml/min`` -> (0.0249996, 26003.5)."""
    parts = text.split(" to ")
    if len(parts) != 2:
        raise ProtocolError("not a range of rates", answered=text)
    low, high = parse_rate_ul_min(parts[0]), parse_rate_ul_min(parts[1])
    if not 0.0 < low < high:
        raise ProtocolError("not a range of rates that has room", answered=text)
    return low, high


def parse_volume_ul(text: str) -> float:
    """``1.5 ml`` -> 1500."""
    match = _VOLUME.fullmatch(text.strip())
    if match is None:
        raise ProtocolError("not a volume with its unit", answered=text)
    return float(match[1]) * _UL[match[2].lower()]


def parse_target_ul(text: str) -> float | None:
    """``Target volume not set`` -> None, else a volume."""
    return None if "not set" in text else parse_volume_ul(text)


def parse_diameter_mm(text: str) -> float:
    """``4.6100 mm`` -> 4.61."""
    match = _DIAMETER.fullmatch(text.strip())
    if match is None:
        raise ProtocolError("not a diameter in mm", answered=text)
    return float(match[1])


def format_volume(volume_ul: float, rounding: Literal["nearest", "down", "up"] = "nearest") -> str:
    """Five significant digits in the unit that needs no leading zeros: ``1.2345 ml``, ``850.5 nl``.

    Nearest, or the next one down or up. Raises OutOfRangeError for what no unit can hold.
    """
    if math.isfinite(volume_ul):
        for unit, factor in _UL.items():
            value = volume_ul / factor
            if not (0.1 <= value < 1000.0 or (unit == "ml" and 1000.0 <= value < 1e5)):
                continue
            decimals = 4 - math.floor(math.log10(value))
            scaled = value * 10**decimals
            # The margin keeps a decimal number that binary stores slightly off from becoming the one beside it.
            if rounding == "down":
                whole = math.floor(scaled * (1 + 1e-12))
            else:
                whole = math.ceil(scaled * (1 - 1e-12)) if rounding == "up" else round(scaled)
            digits = f"{whole / 10**decimals:.{decimals}f}"
            return f"{digits.rstrip('0').rstrip('.') if '.' in digits else digits} {unit}"
    raise OutOfRangeError(f"{volume_ul:g} µL cannot be written", low=1e-7, high=1e8, asked=f"{volume_ul:g}")


def format_rate(flow_ul_min: float, within_ul_min: tuple[float, float] = (0.0, math.inf)) -> str:
    """Five significant digits: ``80.25 ul/min``; where the nearest lie outside what the pump takes, the next inside."""
    volume = format_volume(flow_ul_min)
    written_ul = parse_volume_ul(volume)
    if written_ul < within_ul_min[0] * (1 - 1e-9):
        volume = format_volume(flow_ul_min, "up")
    elif written_ul > within_ul_min[1] * (1 + 1e-9):
        volume = format_volume(flow_ul_min, "down")
    return f"{volume}/min"
