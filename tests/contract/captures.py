"""Bytes as the makers' manuals define them, with values of our own: what each driver must say for one setting, and
what an answer means. Bytes that a maker printed are in :mod:`tests.contract.printed`.

``SAID`` are whole requests that a driver sends while it sets 60 µL/min, 80 °C, position 4 or 12 mL/min (or reads, where
there is nothing to set). ``ANSWERED`` are answers with their meaning. Frames of Modbus carry the checksum that the
Modbus over serial line specification V1.02, section 6.2.2, defines.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from drivers import cavro_frames, harvard_frames, ika, julabo, line_heater, new_era_frames, propar, vici
from drivers.alicat import parse_frame
from drivers.modbus_heater import words_float


@dataclass(frozen=True)
class Said:
    """A request, by the entry of the table that sends it; ``source`` says where its form is defined."""

    entry: str
    source: str
    request: bytes


@dataclass(frozen=True)
class Answered:
    """An answer, and what it means."""

    source: str
    answer: bytes
    parse: Callable[[bytes], Any]
    meaning: Any


_NE = "NE-1000 user manual 1200-01, chapter 10"
_HARVARD = "PHD Ultra user guide 5419-002, commands"
_XLP = "XLP 6000 manual 734237-C, chapter 3"
_MODBUS = "Modbus application protocol V1.1b3, sections 6.3, 6.6 and 6.12; register from the maker's address list"

SAID: tuple[Said, ...] = (
    Said("new era", _NE, b"0RAT 60.00 UM\r"),
    # 17 bytes follow STX: this one, the text, the checksum, ETX
    Said(
        "new era in safe mode",
        f"{_NE}, safe mode",
        b"\x02\x110RAT 60.00 UM" + binascii.crc_hqx(b"0RAT 60.00 UM", 0).to_bytes(2, "big") + b"\x03",
    ),
    Said("harvard", _HARVARD, b"irate 60 ul/min\r"),
    Said("harvard on a chain", _HARVARD, b"5:irate 60 ul/min\r"),
    Said("cavro in OEM frames", f"{_XLP}, OEM protocol", b"\x02\x31\x32&\x03\x24"),
    Said("cavro in DT frames", f"{_XLP}, DT protocol", b"/1&\r"),
    Said("cavro pair", f"{_XLP}, OEM protocol", b"\x02\x32\x32&\x03\x27"),
    Said("eurotherm", _MODBUS, bytes.fromhex("01 06 00 1a 03 20")),
    Said("eurotherm in floats", _MODBUS, bytes.fromhex("01 10 80 34 00 02 04 42 a0 00 00")),
    Said("nanodac", _MODBUS, bytes.fromhex("01 06 02 02 03 20")),
    Said("watlow", _MODBUS, bytes.fromhex("01 10 08 70 00 02 04 00 00 43 30")),
    Said("omega", _MODBUS, bytes.fromhex("01 10 02 e2 00 02 04 42 a0 00 00")),
    Said("novus", _MODBUS, bytes.fromhex("01 06 00 00 03 20")),
    Said("julabo", "Julabo interface commands", b"out_sp_00 80.00\r"),
    Said("ika", "IKA RCT operating instructions, NAMUR commands", b"OUT_SP_1 80.0 \r\n"),
    Said("pressure", _MODBUS, bytes.fromhex("01 04 00 00 00 01 31 ca")),
    Said("phase", _MODBUS, bytes.fromhex("00 00 00 06 01 04 00 00 00 01")),
    Said("vici", "VICI EUT manual, serial commands", b"GO04\r"),
    Said("vici by unit", "VICI EUT manual, serial commands", b"1GO04\r"),
    # 12 mL/min at 0 °C are 13.10 at 25 °C
    Said("alicat", "Alicat serial communications primer", b"AS 13.10\r"),
    Said("bronkhorst", "RS232 interface manual 9.17.027, section 3.10.1", b":06800101210F00\r\n"),
)

ANSWERED: tuple[Answered, ...] = (
    Answered(
        f"{_NE}: DIS, STX, address, prompt, data, ETX",
        b"\x0200SI1.234W0.000ML\x03",
        lambda data: new_era_frames.parse_dispensed_ul(
            new_era_frames.parse_reply(new_era_frames.unwrap_basic(data), 0).data
        ),
        (1234.0, 0.0),
    ),
    Answered(
        f"{_NE}: power-up alarm",
        b"\x0200A?R\x03",
        lambda data: new_era_frames.parse_reply(new_era_frames.unwrap_basic(data), 0).alarm,
        "R",
    ),
    Answered(
        f"{_NE}: VER",
        b"\x0200SNE1000V3.928\x03",
        lambda data: new_era_frames.parse_reply(new_era_frames.unwrap_basic(data), 0).data,
        "NE1000V3.928",
    ),
    Answered(
        f"{_HARVARD}: status",
        b"\n12:1000000000 3 3000000000 i...I\r\n12>",
        lambda data: harvard_frames.parse_status(harvard_frames.parse_reply(data, 12).lines[0]).flow_ul_min,
        60.0,
    ),
    Answered(f"{_XLP}: ready, no error", b"/0`\x03\r\n", lambda d: cavro_frames.parse_dt(d).ready, True),
    Answered(f"{_XLP}: busy", b"/0@\x03\r\n", lambda d: cavro_frames.parse_dt(d).ready, False),
    Answered(f"{_XLP}: overload", b"/0i\x03\r\n", lambda d: cavro_frames.parse_dt(d).error, 9),
    Answered(f"{_XLP}: ?", b"\x020`3000\x03\x52", lambda d: cavro_frames.parse_oem(d).data, "3000"),
    Answered(
        "IEEE 754; Omega: high word first",
        bytes.fromhex("42 a0 00 00"),
        lambda d: words_float([d[0] << 8 | d[1], d[2] << 8 | d[3]], "high first"),
        80.0,
    ),
    Answered(
        "IEEE 754; Watlow: low word first",
        bytes.fromhex("00 00 43 30"),
        lambda d: words_float([d[0] << 8 | d[1], d[2] << 8 | d[3]], "low first"),
        176.0,
    ),
    Answered(
        "Julabo status messages",
        b"03 REMOTE START\r\n",
        lambda d: julabo.parse_status(line_heater.answer_text(d)).code,
        3,
    ),
    Answered("IKA", b"24.7 1 \r\n", lambda d: ika.parse_value(line_heater.answer_text(d), 1), 24.7),
    Answered("VICI EUT manual: CP", b"CP03\r", vici.parse_position, 3),
    Answered(
        "Alicat primer: data frame",
        b"A +014.70 +025.00 +15.444 +15.444 +15.444 N2\r",
        lambda d: parse_frame(d, "A").set_point,
        15.444,
    ),
    Answered(
        "RS232 interface manual 9.17.027, section 3.10",
        b":06030201213E80\r\n",
        lambda d: propar.decode_value(propar.decode_frame(d, 3), propar.SET_POINT),
        16000,
    ),
)
