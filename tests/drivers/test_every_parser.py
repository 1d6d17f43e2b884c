"""No bytes whatever make a parser raise anything but the drivers' own errors, or hang."""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import drivers
from drivers import (
    DriverError,
    WireTimeoutError,
    alicat,
    cavro_frames,
    harvard_frames,
    ika,
    jcamp,
    julabo,
    line_heater,
    new_era_frames,
    ocean_obp,
    propar,
    spectrum_files,
    vici,
)
from orchestrator.clock.virtual_time import run_virtual

_NAME = re.compile(r"(parse|unwrap|decode|check|receive|answer)(_\w+)?")


def text(data: bytes) -> str:
    return data.decode("latin-1")


class Recorded:
    """A transport that has received ``data`` and will receive nothing more."""

    name = "recorded"

    def __init__(self, data: bytes) -> None:
        self._left = data

    async def open(self) -> None:
        pass

    async def write(self, data: bytes) -> None:
        pass

    async def discard_input(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def read_until(self, terminator: bytes, timeout_s: float) -> bytes:
        at = self._left.find(terminator)
        return self._take(at + len(terminator) if at >= 0 else len(self._left) + 1)

    async def read_exactly(self, n: int, timeout_s: float) -> bytes:
        return self._take(n)

    def _take(self, n: int) -> bytes:
        if n > len(self._left):
            raise WireTimeoutError("nothing more", answered=self._left)
        taken, self._left = self._left[:n], self._left[n:]
        return taken


def received(receive: Callable[..., Awaitable[bytes]], *more: Any) -> Callable[[bytes], bytes]:
    async def main(data: bytes) -> bytes:
        return await receive(Recorded(data), 1.0, *more)

    return lambda data: run_virtual(main(data))


PARSERS: dict[Callable[..., Any], Callable[[bytes], Any]] = {
    new_era_frames.receive_basic: received(new_era_frames.receive_basic),
    new_era_frames.receive_safe: received(new_era_frames.receive_safe),
    new_era_frames.unwrap_basic: new_era_frames.unwrap_basic,
    new_era_frames.unwrap_safe: new_era_frames.unwrap_safe,
    new_era_frames.parse_reply: lambda data: new_era_frames.parse_reply(data, 0),
    new_era_frames.parse_number: lambda data: new_era_frames.parse_number(text(data)),
    new_era_frames.parse_rate_ul_min: lambda data: new_era_frames.parse_rate_ul_min(text(data)),
    new_era_frames.parse_volume_ul: lambda data: new_era_frames.parse_volume_ul(text(data)),
    new_era_frames.parse_dispensed_ul: lambda data: new_era_frames.parse_dispensed_ul(text(data)),
    harvard_frames.receive: received(harvard_frames.receive, 12),
    harvard_frames.parse_reply: lambda data: harvard_frames.parse_reply(data, 12),
    harvard_frames.parse_status: lambda data: harvard_frames.parse_status(text(data)),
    harvard_frames.parse_rate_ul_min: lambda data: harvard_frames.parse_rate_ul_min(text(data)),
    harvard_frames.parse_rate_limits_ul_min: lambda data: harvard_frames.parse_rate_limits_ul_min(text(data)),
    harvard_frames.parse_volume_ul: lambda data: harvard_frames.parse_volume_ul(text(data)),
    harvard_frames.parse_target_ul: lambda data: harvard_frames.parse_target_ul(text(data)),
    harvard_frames.parse_diameter_mm: lambda data: harvard_frames.parse_diameter_mm(text(data)),
    cavro_frames.receive_dt: received(cavro_frames.receive_dt),
    cavro_frames.receive_oem: received(cavro_frames.receive_oem),
    cavro_frames.parse_dt: cavro_frames.parse_dt,
    cavro_frames.parse_oem: cavro_frames.parse_oem,
    cavro_frames.parse_number: lambda data: cavro_frames.parse_number(text(data)),
    propar.decode_frame: lambda data: propar.decode_frame(data, 3),
    propar.check_status: propar.check_status,
    propar.decode_value: lambda data: [
        propar.decode_value(data, each) for each in (propar.MEASURE, propar.CAPACITY, propar.FLUID_NAME)
    ],
    alicat.parse_frame: lambda data: alicat.parse_frame(data, "A"),
    vici.parse_position: vici.parse_position,
    vici.parse_count: vici.parse_count,
    julabo.parse_status: lambda data: julabo.parse_status(text(data)),
    julabo.parse_temperature: lambda data: julabo.parse_temperature(text(data)),
    julabo.parse_mode: lambda data: julabo.parse_mode(text(data)),
    ika.parse_value: lambda data: ika.parse_value(text(data), 1),
    ika.parse_status: lambda data: ika.parse_status(text(data), 1),
    line_heater.answer_text: line_heater.answer_text,
    line_heater.parse_number: lambda data: line_heater.parse_number(text(data)),
    ocean_obp.check_acknowledged: lambda data: ocean_obp.check_acknowledged(data, 0x110),
    spectrum_files.parse_spectrum: spectrum_files.parse_spectrum,
    spectrum_files.parse_delimited: lambda data: spectrum_files.parse_delimited(text(data)),
    jcamp.parse_jcamp: lambda data: jcamp.parse_jcamp(text(data)),
}

EXAMPLES = (
    b"\x0200SI1.234W0.000ML\x03",
    b"\x02\x080VERH\x09\x03",
    b"80.25UM",
    b"I1.234W0.000ML",
    b"\n12:1000000000 3 3000000000 i...I\r\n12>",
    b"1000000000 3 3000000000 i.S.I",
    b".0404 nl/min to 26.0035 ml/min",
    b"4.6100 mm",
    b"/0`3000\x03\r\n",
    b"\x020`3000\x03R",
    b":06030201213E80\r\n",
    bytes.fromhex("030201213e80"),
    b"A +014.70 +025.00 +15.444 +15.444 +15.444 N2\r",
    b"Position is  = 7\r\n",
    b"NP = 24\r",
    b"03 REMOTE START\r\n",
    b"24.7 1",
    b"---.--",
    b"400.0,12\n400.5,13\n401.0,14\n401.5,15\n",
    b"##TITLE=x\n##JCAMP-DX=4.24\n##XUNITS=NANOMETERS\n##YUNITS=COUNTS\n##FIRSTX=400\n##LASTX=402\n##NPOINTS=3\n"
    b"##XFACTOR=1\n##YFACTOR=1\n##XYDATA=(X++(Y..Y))\n400 1 2 3\n##END=\n",
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Something sensible with a few bytes changed, lost or added."""
    data = bytearray(draw(st.sampled_from(EXAMPLES)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        data[at : at + draw(st.integers(0, 2))] = draw(st.binary(max_size=2))
    return bytes(data)


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: f"{parser.__module__}.{parser.__name__}")
@settings(max_examples=60, deadline=None)
@given(data=st.one_of(damaged(), st.binary(max_size=60)))
def test_no_bytes_break_a_parser(parser: Callable[..., Any], data: bytes) -> None:
    try:
        value = PARSERS[parser](data)
    except DriverError as error:
        assert str(error)
        return
    if isinstance(value, float):
        assert math.isfinite(value) or parser is julabo.parse_temperature


def test_every_parser_is_in_the_table() -> None:
    shown = set()
    for module in pkgutil.iter_modules(drivers.__path__, "drivers."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if inspect.isfunction(value) and value.__module__ == module.name and _NAME.fullmatch(name):
                shown.add(value)
    assert shown == set(PARSERS)
