"""Bytes that a maker printed: whole frames and strings from manuals, with the place where each is printed.

Nothing here is of our own making; what the manuals only define, with values of ours, is in
:mod:`tests.contract.captures`. Two printed examples that contradict themselves are left out: the checksum ``D8 C3`` of
``01 06 00 2D 00 01`` (Watlow communications guide), and 429C977D as 78.20407867 (EZ-ZONE; the float is 78.29587555).
For Eurotherm, nanodac, Omega, Novus, IKA and the spectrometers no printed example was found, only registers and forms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from drivers import cavro_frames, julabo, line_heater, new_era_frames, propar
from drivers.alicat import parse_frame
from drivers.modbus_heater import words_float


@dataclass(frozen=True)
class PrintedAnswer:
    """An answer as it is printed, and what the page says it means."""

    source: str
    answer: bytes
    parse: Callable[[bytes], Any]
    meaning: Any


@dataclass(frozen=True)
class PrintedExchange:
    """A command as it is printed, and the printed answer (None: the page shows none, or the device gives none)."""

    source: str
    twin: str
    command: bytes
    answer: bytes | None


_NE = "New Era NE-1000 user manual, publication 1200-01, 08/01/14, section 10.2.2"
_PROPAR = "Bronkhorst RS232 interface, 9.17.027"
_SERIES_97 = "Watlow Series 97 user's guide, page A.6"
_COMMUNICATIONS = "Watlow controls communications guide, page 17"
_FUEL = "Hamilton Sundstrand EXVG fuel metering valves, table 6 (the example of the Modbus application protocol, 6.3)"
_EZ_ZONE = "Watlow EZ-ZONE communications user's manual, chapter 2, page 13"
_JULABO = "JULABO Magnum 91 operating manual, section 11.2"
_JULABO_STATUS = "JULABO FLW1703 operating manual, sections 11.4 and 11.5"
_XP = "Cavro XP 3000 operator's manual 725730C, table 3-8; the XLP 6000 has the same codes"

MODBUS_FRAMES: tuple[tuple[str, bytes], ...] = (
    (_SERIES_97, bytes.fromhex("01 03 00 00 00 01 84 0A")),
    (_SERIES_97, bytes.fromhex("01 03 02 00 61 79 AC")),
    (_SERIES_97, bytes.fromhex("05 03 00 01 00 02 94 4F")),
    (_SERIES_97, bytes.fromhex("05 03 04 00 64 00 C8 FF BA")),
    (_SERIES_97, bytes.fromhex("09 06 02 BE 00 C8 E8 88")),
    (_COMMUNICATIONS, bytes.fromhex("01 02 00 01 00 02 A8 0B")),
    (_COMMUNICATIONS, bytes.fromhex("01 82 01 81 60")),
    (_COMMUNICATIONS, bytes.fromhex("01 86 02 C3 A1")),
    (_COMMUNICATIONS, bytes.fromhex("01 06 00 07 2E E0 24 23")),
    (_COMMUNICATIONS, bytes.fromhex("01 86 03 02 61")),
    (_FUEL, bytes.fromhex("01 03 00 6B 00 03 74 17")),
    (_FUEL, bytes.fromhex("01 03 06 02 2B 00 00 00 64 05 7A")),
)
"""Whole frames with their checksums."""

WATLOW_READ = bytes.fromhex("01 03 01 68 00 02")
"""Process value of a Watlow EZ-ZONE PM at address 1 (page 12), without its checksum."""
WATLOW_WRITE = bytes.fromhex("01 10 08 70")
"""The beginning of the printed frame that writes 75.0 °F, and ``WATLOW_WORDS`` are its two registers."""
WATLOW_WORDS = bytes.fromhex("00 00 42 96")

ANSWERS: tuple[PrintedAnswer, ...] = (
    PrintedAnswer(_NE, b"\x02\x08SAF0\x55\x43\x03", new_era_frames.unwrap_safe, b"SAF0"),
    PrintedAnswer(
        f"{_EZ_ZONE}: 0000 4296",
        WATLOW_WORDS,
        lambda d: words_float([d[0] << 8 | d[1], d[2] << 8 | d[3]], "low first"),
        75.0,
    ),
    PrintedAnswer(
        "Alicat MC series manual, page 41",
        b"A +13.60 +24.38 +16.67 +15.44 +15.44 Air\r",
        lambda d: (parse_frame(d, "A").mass_flow, parse_frame(d, "A").set_point, parse_frame(d, "A").gas),
        (15.44, 15.44, "Air"),
    ),
    PrintedAnswer(
        "Alicat IM manual, page 10: with valve drive and totalizer",
        b"A +15.542 +24.57 +16.667 +15.444 +15.444 +81.23 22741.4 N2\r",
        lambda d: (parse_frame(d, "A").mass_flow, parse_frame(d, "A").set_point, parse_frame(d, "A").gas),
        (15.444, 15.444, "N2"),
    ),
    PrintedAnswer(_JULABO, b"55.5\r\n", lambda d: julabo.parse_temperature(line_heater.answer_text(d)), 55.5),
    *(
        PrintedAnswer(
            f"{_JULABO_STATUS}: {text}",
            text.encode() + b"\r\n",
            lambda d: julabo.parse_status(line_heater.answer_text(d)).code,
            code,
        )
        for text, code in (
            ("00 MANUAL STOP", 0),
            ("01 MANUAL START", 1),
            ("02 REMOTE STOP", 2),
            ("03 REMOTE START", 3),
            ("-01 LOW LEVEL ALARM", -1),
            ("-05 WORKING SENSOR ALARM", -5),
            ("-08 INVALID COMMAND", -8),
            ("-09 COMMAND NOT ALLOWED IN CURRENT OPERATING MODE", -9),
            ("-10 VALUE TOO SMALL", -10),
            ("-11 VALUE TOO LARGE", -11),
        )
    ),
    *(
        PrintedAnswer(
            f"{_XP}: {0x40 | ready << 5 | error:02X}h",
            bytes((0x2F, 0x30, 0x40 | ready << 5 | error, 0x03, 0x0D, 0x0A)),
            lambda d: (cavro_frames.parse_dt(d).ready, cavro_frames.parse_dt(d).error),
            (bool(ready), error),
        )
        for error in (0, 1, 2, 3, 4, 6, 7, 9, 10, 11, 15)
        for ready in (0, 1)
    ),
    PrintedAnswer(
        f"{_PROPAR}, page 23",
        b":06030201213E80\r\n",
        lambda d: propar.decode_value(propar.decode_frame(d, 3), propar.SET_POINT),
        16000,
    ),
    PrintedAnswer(f"{_PROPAR}, page 20", b":0403000005\r\n", lambda d: propar.decode_frame(d, 3), b"\x00\x00\x05"),
    PrintedAnswer(f"{_PROPAR}, page 22", b":040300001C\r\n", lambda d: propar.decode_frame(d, 3), b"\x00\x00\x1c"),
    PrintedAnswer(
        f"{_PROPAR}, page 26: 5023.96",
        b":0803026841459CFFAE\r\n",
        lambda d: propar.decode_frame(d, 3),
        bytes.fromhex("02 68 41 45 9C FF AE"),
    ),
)

EXCHANGES: tuple[PrintedExchange, ...] = (
    PrintedExchange(f"{_PROPAR}, page 20", "bronkhorst", b":06030101213E80\r\n", b":0403000005\r\n"),
    PrintedExchange(f"{_PROPAR}, pages 22 and 23", "bronkhorst", b":06030401210121\r\n", b":06030201213E80\r\n"),
    PrintedExchange(f"{_PROPAR}, page 25", "bronkhorst", b":06030401210120\r\n", None),
    PrintedExchange(
        "Harvard PHD Ultra user's guide 5419-002, pump chain commands", "harvard", b"12:irat 3.2 ul/min\r", None
    ),
    PrintedExchange(_NE, "new_era", b"\x02\x08SAF0\x55\x43\x03", None),
    PrintedExchange(_JULABO, "julabo", b"out_sp_00 55.5\r", None),
    PrintedExchange("VICI EUT manual, page 16", "vici", b"GO3\r", None),
)
"""What the twins are told in the makers' own bytes."""
